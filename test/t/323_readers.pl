# What readers take: memory and locks do not depend on what another role has written to a table of
# the history's name, and no lock on such a table is kept to the end of the transaction.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'readers');
my $database = new_database($node);
look_as_roles($node, $database);

my $mebibytes = 1024;    # of VmHWM, which is in kB

large_texts();
many_rows();
unseen_rows();
no_lock_is_kept();
locked_index();
many_overloads();
many_views();
large_functions();
many_version_tables();
migrated_meanwhile();
$node->stop;
done_testing();

# The largest memory that the session has had so far, in kB. Shared memory does not count.
sub peak
{
	my ($session) = @_;
	my ($peak) = slurp_file("/proc/$session->{pid}/status") =~ /^VmHWM:\s+(\d+) kB$/m;
	return $peak;
}

# A history of another role, whose texts take a gigabyte.
sub large_texts
{
	query(<<"SQL");
CREATE ROLE mallory;
CREATE SCHEMA hers AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA hers TO PUBLIC;
CREATE TABLE hers.procrastinate_schema_history ($HISTORY_COLUMNS, $HISTORY_KEY);
INSERT INTO hers.procrastinate_schema_history
SELECT n, 'step 0024.' || repeat('1', 50000000), '0023', '0023', now(), 'x', '0', 'x',
       $THIS_DATABASE
  FROM generate_series(1, 20) AS n;
GRANT SELECT ON hers.procrastinate_schema_history TO PUBLIC;
SQL
	my $session = user_session($node, $database, 'public');
	$session->query('SELECT count(*) FROM procrastinate_progress');
	my $before = peak($session);
	is($session->query('SELECT count(*) FROM procrastinate_progress'),
		'0', 'a history that makes no sense is not shown');
	is($session->query(q{SELECT count(*) FROM procrastinate_current('hers')}),
		'1', 'its last known revision is read');
	is($session->query(q{SELECT max(length(event)) FROM procrastinate_log('hers')}),
		'1000', 'the log cuts long texts');
	cmp_ok(peak($session) - $before, '<', 100 * $mebibytes,
		'memory does not grow with the texts');
	$session->close;
	query('DROP SCHEMA hers CASCADE');
	return;
}

# A long history. The current revision needs its last row only.
sub many_rows
{
	query('CREATE SCHEMA old');
	allowed('postgres', q{SELECT procrastinate_upgrade('0026', 'old')}, '0026', 'at 0026');
	query(<<"SQL");
INSERT INTO old.procrastinate_schema_history
SELECT n + 1000, 'repair', '0026', '0026', now(), 'x', '0', 'x', $THIS_DATABASE
  FROM generate_series(1, 200000) AS n;
SQL
	my $session = user_session($node, $database, 'old');
	$session->query('SELECT revision FROM procrastinate_current()');
	my $before = peak($session);
	is($session->query('SELECT revision FROM procrastinate_current()'),
		'0026', 'the current revision of a long history');
	is($session->query('SELECT count(*) FROM procrastinate_history() WHERE is_applied'),
		'26', 'its migrations');
	is($session->query('SELECT count(*) FROM procrastinate_pending()'),
		$HEAD - 26, 'those to come');
	cmp_ok(peak($session) - $before, '<', 40 * $mebibytes, 'memory does not grow with the rows');
	$session->close;
	query('DROP SCHEMA old CASCADE');
	return;
}

# Rows that another role has not committed: a scan visits them and returns none. A cancel in the
# middle is reported as one, and a large table is not read.
sub unseen_rows
{
	query(<<'SQL');
CREATE ROLE writer LOGIN;
CREATE SCHEMA model;
CREATE SCHEMA unseen AUTHORIZATION writer;
GRANT USAGE ON SCHEMA model TO writer;
GRANT USAGE ON SCHEMA unseen TO PUBLIC;
SQL
	allowed('postgres', q{SELECT procrastinate_upgrade('0001', 'model')}, '0001', 'at 0001');
	as_role('writer', 'CREATE TABLE unseen.procrastinate_schema_history'
		  . ' (LIKE model.procrastinate_schema_history INCLUDING ALL);'
		  . ' GRANT SELECT ON unseen.procrastinate_schema_history TO PUBLIC');
	my $writer = user_session($node, $database, 'unseen');
	my $rows   = sub {
		my ($first, $last) = @_;
		$writer->query("INSERT INTO procrastinate_schema_history SELECT n, 'step 0024.1', '0023',"
			  . " '0023', now(), 'x', '0', 'x', $THIS_DATABASE"
			  . " FROM generate_series($first, $last) AS n");
	};
	$writer->query('SET ROLE writer; BEGIN');
	$rows->(1, 200_000);
	my $reader = user_session($node, $database, 'public');
	my %errors;
	# Somewhere on the way a timeout falls into the scan.
	foreach my $timeout (5 .. 60)
	{
		$reader->refusal("SET statement_timeout = $timeout");    # the one before may end it
		my $error = $reader->refusal('SELECT count(*) FROM procrastinate_under_way()');
		$errors{$error}++;
	}
	1 until $reader->refusal('SET statement_timeout = 0') eq 'no error';
	delete $errors{'no error'};
	is(join("\n", keys %errors), '57014: canceling statement due to statement timeout',
		'a cancel of a reader is no other error');
	$rows->(200_001, 450_000);
	is($reader->query('SELECT count(*) FROM procrastinate_under_way() WHERE schema ='
			  . q{ 'unseen'::regnamespace}),
		'0', 'a larger table is not read');
	like(
		$reader->refusal(q{SELECT * FROM procrastinate_current('unseen')}),
		qr/^PM010: table unseen\.procrastinate_schema_history is too large for a history/,
		'its reader is told so');
	$writer->query('ROLLBACK');
	$_->close foreach $writer, $reader;
	query('DROP SCHEMA unseen, model CASCADE');
	return;
}

sub no_lock_is_kept
{
	foreach my $number (1 .. 5)
	{
		query("CREATE SCHEMA s$number");
		allowed('postgres', "SELECT procrastinate_upgrade('0001', 's$number')", '0001', 'at 0001');
	}
	my $session = user_session($node, $database, 's1');
	foreach my $call (
		qw(procrastinate_progress procrastinate_under_way() procrastinate_installations
		procrastinate_current() procrastinate_log() procrastinate_pending() procrastinate_plan()
		procrastinate_history() procrastinate_supports('3.0.0') procrastinate_detect()
		procrastinate_check() procrastinate_repair()))
	{
		$session->query("BEGIN; SELECT count(*) FROM $call");
		is( $session->query(
				q{SELECT string_agg(relname || ' ' || mode, ', ') FROM pg_locks}
				  . q{ JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid =}
				  . q{ relnamespace WHERE pid = pg_backend_pid() AND nspname ~ '^s[1-5]$'}
			),
			'NULL',
			"no lock is kept on an object of an installation: $call");
		$session->query('COMMIT');
	}
	$session->close;
	return;
}

# Another role rebuilds an index of a history of its own.
sub locked_index
{
	query(<<'SQL');
CREATE ROLE builder LOGIN;
CREATE SCHEMA rebuilt AUTHORIZATION builder;
SQL
	as_role('builder', q{SELECT procrastinate_upgrade('0001', 'rebuilt')});
	my $builder = user_session($node, $database, 'rebuilt');
	my $reader  = user_session($node, $database, 'public');
	$reader->query(q{SET statement_timeout = '20s'});
	foreach my $kind ('INDEX rebuilt.procrastinate_schema_history_pkey',
		'TABLE rebuilt.procrastinate_schema_history')
	{
		$builder->query("BEGIN; REINDEX $kind");
		foreach my $call (
			qw(procrastinate_progress procrastinate_under_way() procrastinate_installations))
		{
			is($reader->refusal("SELECT count(*) FROM $call"),
				'no error', "REINDEX $kind keeps nobody from $call");
		}
		$builder->query('COMMIT');
	}
	$builder->query('BEGIN; LOCK TABLE procrastinate_schema_history');
	is( $reader->query(
			q{SELECT revision, source FROM procrastinate_installations}
			  . q{ WHERE schema = 'rebuilt'::regnamespace}
		),
		'NULL|unknown: the history is locked',
		'a list of installations waits for no lock');
	$builder->query('COMMIT');
	$_->close foreach $builder, $reader;
	query('DROP SCHEMA rebuilt CASCADE');
	return;
}

# Functions that have a name of ours, as another role can make them by the thousands.
sub many_overloads
{
	query('CREATE SCHEMA overloaded');
	allowed('postgres', q{SELECT procrastinate_upgrade('head', 'overloaded')},
		$HEAD_NAME, 'at head');
	query(<<'SQL');
DO $$
BEGIN
	FOR n IN 1 .. 2000 LOOP
		EXECUTE format('CREATE FUNCTION overloaded.procrastinate_fetch_job_v2(%s) RETURNS int'
			' LANGUAGE sql AS ''SELECT 1''',
			array_to_string(array_fill('int'::text, ARRAY[1 + n % 44]), ', ') || ', '
			|| array_to_string(array_fill('text'::text, ARRAY[1 + n / 44]), ', '));
	END LOOP;
END $$;
SQL
	is( query(
			q{SELECT revision, exact, missing, extra FROM procrastinate_detect('overloaded')}
			  . ' LIMIT 1'
		),
		"$HEAD_NAME|f|0|2000", 'the revision is detected');
	is( query(q{SELECT count(*) FROM procrastinate_check(schema => 'overloaded')}),
		'2000', 'and each function is listed');
	query(<<'SQL');
DO $$
BEGIN
	FOR n IN 0 .. 3000 LOOP
		EXECUTE format('CREATE FUNCTION overloaded.procrastinate_%s_job(%s) RETURNS int'
			' LANGUAGE sql AS ''SELECT 1''', (ARRAY['finish', 'retry'])[1 + n % 2],
			array_to_string(array_fill('int'::text, ARRAY[1 + n / 2 % 40]), ', ') || ', '
			|| array_to_string(array_fill('text'::text, ARRAY[1 + n / 80]), ', '));
	END LOOP;
END $$;
SQL
	foreach my $call (qw(detect check))
	{
		my (undef, undef, $error) =
		  $node->psql($database, "SELECT * FROM procrastinate_$call(schema => 'overloaded')");
		like(
			$error,
			qr/ERROR:  schema "overloaded" has more than 5000 objects with names of/,
			"more functions than that are not compared: $call");
	}
	is(query(q{SELECT revision FROM procrastinate_current('overloaded')}),
		$HEAD_NAME, 'without the comparison the history tells the revision');
	allowed('postgres',
		qq{SELECT procrastinate_require('$HEAD_NAME', drift => 'ignore', schema => 'overloaded')},
		$HEAD_NAME, 'and one function that it is no other');
	allowed('postgres',
		qq{CALL procrastinate_wait('$HEAD_NAME', timeout => '1 min', schema => 'overloaded')},
		'', 'so a revision is reached');
	foreach my $call (
		qq{SELECT * FROM procrastinate_supports('$NEWEST_RELEASE', 'overloaded')},
		qq{SELECT procrastinate_require('$HEAD_NAME', schema => 'overloaded')},
		qq{CALL procrastinate_wait('$NEWEST_RELEASE', timeout => '1 min', schema => 'overloaded')})
	{
		refused(
			'postgres', $call,
			qr/ERROR:  PM010: schema "overloaded" has more than 5000 objects with names of/,
			"but nothing is promised: $call");
	}
	return;
}

# Views on the jobs table need no privilege but USAGE on its schema. Few are read.
sub many_views
{
	query('CREATE SCHEMA viewed; CREATE SCHEMA views AUTHORIZATION mallory;'
		  . ' GRANT USAGE ON SCHEMA viewed TO mallory');
	allowed('postgres', q{SELECT procrastinate_upgrade('head', 'viewed')}, $HEAD_NAME, 'at head');
	allowed('mallory', <<'SQL', '', 'another role creates views');
DO $$
BEGIN
	FOR n IN 1 .. 5200 LOOP
		EXECUTE format('CREATE VIEW views.v%s AS SELECT id FROM viewed.procrastinate_jobs', n);
		IF n % 500 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
SQL
	query('CREATE VIEW viewed.own AS SELECT id FROM viewed.procrastinate_jobs');
	is(query(q{SELECT revision, exact FROM procrastinate_detect('viewed')}),
		"$HEAD_NAME|t", 'the revision is detected');
	is( query(
			q{SELECT count(*), count(*) FILTER (WHERE object = 'viewed.own')}
			  . q{ FROM procrastinate_check(schema => 'viewed')}
		),
		'100|1',
		'100 of the views are listed, those of the owner first');
	allowed('postgres', qq{SELECT procrastinate_require('$HEAD_NAME', schema => 'viewed')},
		$HEAD_NAME, 'a requirement is met');
	query('DROP FUNCTION viewed.procrastinate_unlink_periodic_defers_v1() CASCADE');
	is( query(qq{SELECT supported FROM procrastinate_supports('$NEWEST_RELEASE', 'viewed')}),
		'f', 'a missing function is found');
	return;
}

# Functions that have a name of ours, and a body, a default or settings as long as another role may
# make them.
sub large_functions
{
	query('CREATE SCHEMA large');
	allowed('postgres', q{SELECT procrastinate_upgrade('head', 'large')}, $HEAD_NAME, 'at head');
	my $session = user_session($node, $database, 'large');
	is($session->query('SELECT count(*) FROM procrastinate_check()'), '0', 'no difference');
	my $before = peak($session);
	query(<<'SQL');
SET check_function_bodies = off;
DO $$
DECLARE
	long CONSTANT text := repeat('x', 4000000);
	create_function CONSTANT text := 'CREATE FUNCTION large.procrastinate_finish_job(%s)'
		' RETURNS int LANGUAGE sql %s AS %L';
BEGIN
	EXECUTE format(create_function, 'a int', '', 'SELECT 1 -- ' || repeat(long, 5));
	EXECUTE format(create_function, format('a text DEFAULT %L', long), '', 'SELECT 1');
	EXECUTE format(create_function, 'a date', format('SET my.setting = %L', repeat(long, 5)),
				   'SELECT 1');
END $$;
SQL
	is( $session->query(
			'SELECT object, problem, length(actual) < 10000 FROM procrastinate_check() ORDER BY 1'),
		join("\n", map { "procrastinate_finish_job($_)|extra|t" } qw(date integer text)),
		'functions of 20 MB are differences, and are shown in short');
	cmp_ok(peak($session) - $before, '<', 15 * $mebibytes, 'without reading their texts');
	$session->close;
	query('DROP SCHEMA large CASCADE');
	return;
}

# 20 tables of 1000 rows each, which another role has made. The row that counts is the last of all.
sub many_version_tables
{
	query('CREATE SCHEMA later');
	allowed('postgres', q{SELECT procrastinate_upgrade('head', 'later')}, $HEAD_NAME, 'at head');
	query('DROP TABLE later.procrastinate_schema_history');
	query(<<'SQL');
DO $$
BEGIN
	FOR n IN 10 .. 29 LOOP
		EXECUTE format('CREATE SCHEMA v%s', n);
		EXECUTE format('CREATE TABLE v%s.alembic_version (version_num varchar(32))', n);
		EXECUTE format('INSERT INTO v%s.alembic_version SELECT ''other_'' || g'
			' FROM generate_series(1, 1000) AS g', n);
	END LOOP;
END $$;
SQL
	my $adopt = q{SELECT procrastinate_adopt(schema => 'later')};
	query(q{INSERT INTO v29.alembic_version VALUES ('procrastinate_0020')});
	my (undef, undef, $error) = $node->psql($database, "BEGIN; $adopt; ROLLBACK");
	unlike($error, qr/v29/, 'no more than 10000 rows of such tables are read');
	query('TRUNCATE ' . join ', ', map { "v$_.alembic_version" } 10 .. 20);
	(undef, undef, $error) = $node->psql($database, "BEGIN; $adopt; ROLLBACK");
	like($error, qr/v29/, 'the last table is read if the others have fewer rows');
	query('DROP SCHEMA later CASCADE');
	query("DROP SCHEMA v$_ CASCADE") foreach 10 .. 29;
	return;
}

# Another session migrates after the history was read and before the catalog is.
sub migrated_meanwhile
{
	my %calls = (
		current => q{SELECT revision FROM procrastinate_current()},
		check   => q{SELECT count(*) FROM procrastinate_check()},
		wait    => q{CALL procrastinate_wait('0033')});
	foreach my $call (sort keys %calls)
	{
		upgrade($node, $database, 32, 'moving');
		my $migrating = user_session($node, $database, 'moving');
		my $reader    = user_session($node, $database, 'moving');
		$migrating->query('BEGIN; LOCK TABLE pg_depend IN ACCESS EXCLUSIVE MODE');
		$reader->query('SET client_min_messages = notice');
		$reader->send($calls{$call});
		wait_for($node, $database, $reader->waits_for_lock);
		$migrating->query(q{SELECT procrastinate_upgrade('0033')});
		$migrating->query('COMMIT');
		$reader->{run}->pump until $reader->{err} =~ /^query \d+ is done$/m;
		unlike($reader->{err}, qr/its catalog is that of/,
			"$call: the history that was read before is not told");
		$reader->wait;
		$_->close foreach $migrating, $reader;
		query('DROP SCHEMA moving CASCADE');
	}
	return;
}
