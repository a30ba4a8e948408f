# Definitions of tables as large as another role can make them: a reader does not open such a table,
# because the server would copy all of it to the session's memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Roles;
use Test::More;

my $node     = start_server(name => 'large_definitions');
my $database = new_database($node);
use_database($node, $database);
look_as_roles($node, $database);
query('CREATE ROLE mallory');

my $mebibyte   = 1_000_000;
my $no_history =
  qr/^PM010: table hers\.procrastinate_schema_history is not a history table/;

histories();
many_histories();
many_indexes();
version_table();
tables();
many_small_parts();
used_by_tables();
domains();
functions();
$node->stop;
done_testing();

# Runs a statement with a literal of this many bytes, as a role that may do so.
sub with_text
{
	my ($statement, $bytes) = @_;
	$statement =~ s/'/''/g;
	return query("DO \$do\$ BEGIN EXECUTE format('$statement', repeat('x', $bytes)); END \$do\$");
}

# What the session keeps of the catalogs, in bytes.
sub cached
{
	my ($session) = @_;
	my $in_cache =
	  $node->pg_version < 18
	  ? q{'CacheMemoryContext' IN (name, parent)}
	  : q{path @> (SELECT path FROM context WHERE name = 'CacheMemoryContext')};
	return $session->query(
		q{WITH context AS MATERIALIZED (SELECT * FROM pg_backend_memory_contexts)}
		  . " SELECT sum(total_bytes)::bigint FROM context WHERE $in_cache");
}

# Nothing of the session's calls takes as much as the text of the definition.
sub stays_small
{
	my ($session, $before, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok(cached($session) - $before, '<', 10 * $mebibyte, "$name: it is not read");
	$session->close;
	return;
}

# Of a history of another role.
sub histories
{
	query(<<"SQL");
CREATE SCHEMA hers AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA hers TO PUBLIC;
CREATE TABLE hers.procrastinate_schema_history ($HISTORY_COLUMNS, $HISTORY_KEY);
ALTER TABLE hers.procrastinate_schema_history OWNER TO mallory;
GRANT SELECT ON hers.procrastinate_schema_history TO PUBLIC;
INSERT INTO hers.procrastinate_schema_history
VALUES (1, 'step 0024.1', '0023', '0023', now(), 'x', '0', 'x', $THIS_DATABASE);
SQL
	my $history = 'hers.procrastinate_schema_history';
	foreach my $case (
		[   'a default',
			5_000_000,
			["ALTER TABLE $history ALTER version SET DEFAULT %L"],
			"ALTER TABLE $history ALTER version DROP DEFAULT" ],
		[   'a check',
			5_000_000,
			["ALTER TABLE $history ADD CONSTRAINT c CHECK (version <> %L)"],
			"ALTER TABLE $history DROP CONSTRAINT c" ],
		[   'an argument of a trigger',
			20_000_000,
			[   "CREATE TRIGGER t BEFORE INSERT ON $history FOR EACH ROW EXECUTE FUNCTION"
				  . ' suppress_redundant_updates_trigger(%L)' ],
			"DROP TRIGGER t ON $history" ],
		[   'the condition of a trigger',
			5_000_000,
			[   "CREATE TRIGGER t BEFORE INSERT ON $history FOR EACH ROW WHEN (NEW.version <> %L)"
				  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()' ],
			"DROP TRIGGER t ON $history" ],
		[   'a policy',
			5_000_000,
			["CREATE POLICY p ON $history USING (version <> %L)"],
			"DROP POLICY p ON $history" ],
		[   'the values of new columns',
			400_000,
			[   map {
					    "ALTER TABLE $history ADD x$_ text DEFAULT %L;"
					  . " ALTER TABLE $history ALTER x$_ DROP DEFAULT"
				} 1 .. 40 ],
			"ALTER TABLE $history " . join ', ',
			map { "DROP x$_" } 1 .. 40 ],
		[   'predicates of indexes',
			100_000,
			[ map { ("CREATE INDEX i$_ ON $history (id) WHERE version <> %L") } 1 .. 12 ],
			'DROP INDEX ' . join ', ',
			map { "hers.i$_" } 1 .. 12 ])
	{
		my ($what, $bytes, $make, $remove) = @$case;
		with_text($_, $bytes) foreach @$make;
		my $reader = new_session($node, $database);
		$reader->query('SELECT count(*) FROM procrastinate_heads()');
		my $before = cached($reader);
		is($reader->query('SELECT count(*) FROM procrastinate_progress'),
			'0', "$what: the history is not shown");
		like($reader->refusal(q{SELECT * FROM procrastinate_current('hers')}),
			$no_history, "$what: and makes no sense");
		stays_small($reader, $before, $what);
		query($remove);
	}
	is(query('SELECT count(*) FROM procrastinate_progress'), '1', 'without them it is shown');
	return;
}

# Of many histories that are small enough to be read: the session keeps none. Each takes some
# 800 kB, in one of three ways.
sub many_histories
{
	query(<<'SQL');
DO $$
DECLARE
	history text;
BEGIN
	FOR n IN 1 .. 90 LOOP
		EXECUTE format('CREATE SCHEMA hers_%s', n);
		history := format('hers_%s.procrastinate_schema_history', n);
		EXECUTE format('CREATE TABLE %s (LIKE hers.procrastinate_schema_history INCLUDING ALL)',
			history);
		EXECUTE format('INSERT INTO %s SELECT * FROM hers.procrastinate_schema_history', history);
		IF n % 3 = 0 THEN
			EXECUTE format('ALTER TABLE %s ALTER version SET DEFAULT %L', history,
				repeat('x', 200000));
		ELSIF n % 3 = 1 THEN
			EXECUTE format('ALTER TABLE %s DROP version, DROP applied_by,'
				' ADD version text NOT NULL DEFAULT %L, ADD applied_by text NOT NULL DEFAULT %2$L',
				history, repeat('x', 400000));
			EXECUTE format('ALTER TABLE %s ALTER version DROP DEFAULT,'
				' ALTER applied_by DROP DEFAULT', history);
		ELSE
			EXECUTE format('CREATE INDEX ON %s (id) WHERE version <> %L', history,
				repeat('x', 100000));
			EXECUTE format('CREATE INDEX ON %s (id) WHERE event <> %L', history,
				repeat('x', 100000));
		END IF;
	END LOOP;
END $$;
SQL
	my $reader = new_session($node, $database);
	$reader->query('SELECT count(*) FROM procrastinate_heads()');
	my $before = cached($reader);
	is($reader->query('SELECT count(*) FROM procrastinate_progress'),
		'91', 'histories with definitions of 800 kB are shown');
	stays_small($reader, $before, 'all of them');
	query("DROP SCHEMA hers_$_ CASCADE") foreach 1 .. 90;
	return;
}

# A reader locks the indexes of a table, too.
sub many_indexes
{
	query(q{DO $$ BEGIN FOR n IN 1 .. 200 LOOP}
		  . q{ CREATE INDEX ON hers.procrastinate_schema_history (id); END LOOP; END $$});
	is(query('SELECT count(*) FROM procrastinate_progress'), '0',
		'a history with 201 indexes is not shown');
	query('DROP SCHEMA hers CASCADE');
	return;
}

# Of an alembic_version that an adoption would read.
sub version_table
{
	query(<<'SQL');
CREATE SCHEMA later;
CREATE SCHEMA other;
SELECT procrastinate_upgrade('0020', 'later');
DROP TABLE later.procrastinate_schema_history;
CREATE TABLE other.alembic_version (version_num varchar(32) PRIMARY KEY, x text);
INSERT INTO other.alembic_version VALUES ('procrastinate_0019');
SQL
	with_text('ALTER TABLE other.alembic_version ALTER x SET DEFAULT %L', 5_000_000);
	my $session = new_session($node, $database);
	$session->query('SELECT count(*) FROM procrastinate_heads()');
	my $before = cached($session);
	is($session->query(q{SELECT procrastinate_adopt('later')}),
		'0020', 'an alembic_version with a large default is not read');
	stays_small($session, $before, 'alembic_version');
	query('DROP SCHEMA later, other CASCADE');
	return;
}

# Of Procrastinate's tables, which are compared.
sub tables
{
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('0030', 'hers')});
	with_text('ALTER TABLE hers.procrastinate_jobs ALTER task_name SET DEFAULT %L', 5_000_000);
	my $reader = new_session($node, $database);
	$reader->query('SELECT count(*) FROM procrastinate_heads()');
	my $before = cached($reader);
	foreach my $call (qw(detect check plan repair))
	{
		my $error = $reader->refusal("SELECT * FROM procrastinate_$call(schema => 'hers')");
		like(
			$error,
			qr/^PM010: definition of table hers\.procrastinate_jobs is too large to read$/m,
			"procrastinate_$call does not compare a table with a default of 5 MB");
	}
	my $too_large = 'PM010: definition of table hers.procrastinate_jobs is too large to read';
	foreach my $call (
		q{SELECT * FROM procrastinate_supports('2.15.1', 'hers')},
		q{SELECT procrastinate_require('0030', schema => 'hers')},
		q{CALL procrastinate_wait('2.15.1', '0 s', 'hers')},
		q{SELECT procrastinate_upgrade('0031', schema => 'hers')},
		q{CALL procrastinate_migrate('0031', schema => 'hers')})
	{
		is($reader->refusal($call) =~ s/\n.*//sr, $too_large, "nor does $call");
	}
	stays_small($reader, $before, 'a default');
	my ($hint) = refused(
		'postgres',
		q{SELECT * FROM procrastinate_check(schema => 'hers')},
		qr/^DETAIL:  The default of column "task_name" takes \d{8,} bytes\./m,
		'the default is named') =~ /^HINT:  Look at it first; then: (.*)/m;
	query($hint);
	is(query(q{SELECT count(*) FROM procrastinate_check(schema => 'hers')}),
		'0', 'the statement of the HINT drops it');
	query('DROP SCHEMA hers CASCADE');
	return;
}

# Many parts, none of which is as large as Procrastinate's own. No HINT leads to dropping these.
sub many_small_parts
{
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('head', 'hers')});
	query(<<'SQL');
DO $$
BEGIN
	FOR n IN 1 .. 1300 LOOP
		EXECUTE format('CREATE TRIGGER z%s BEFORE UPDATE ON hers.procrastinate_jobs FOR EACH ROW'
			' EXECUTE FUNCTION suppress_redundant_updates_trigger(%L)', n, repeat('x', 700));
	END LOOP;
END $$;
SQL
	my $error = refused(
		'postgres',
		q{SELECT * FROM procrastinate_check(schema => 'hers')},
		qr/^DETAIL:  The trigger "z\d+" takes \d{3,4} bytes\. .* the first \d{3,4} take more\.$/m,
		'the largest part that is not of Procrastinate is named, and the number of parts');
	like($error, qr/^HINT:  .*: DROP TRIGGER z\d+ ON hers\.procrastinate_jobs;$/m,
		'by the HINT, too');
	query('DROP SCHEMA hers CASCADE');
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('head', 'hers')});
	query('ALTER TABLE hers.procrastinate_jobs DROP CONSTRAINT check_not_todo_abort_requested');
	with_text(
		'ALTER TABLE hers.procrastinate_jobs ADD CONSTRAINT check_not_todo_abort_requested'
		  . ' CHECK (task_name <> %L)',
		2_000_000);
	like(
		refused(
			'postgres',
			q{SELECT * FROM procrastinate_check(schema => 'hers')},
			qr/^DETAIL:  Defaults, .* the first \d+ take more\.$/m,
			'one that has the name of ours is not named'),
		qr/^HINT:  (?!.*(DROP|drop))/m,
		'nor dropped');
	query('DROP SCHEMA hers CASCADE');
	return;
}

# Of other tables, which the server opens to print rules, expressions and indexes.
sub used_by_tables
{
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('head', 'hers')});
	query(<<'SQL');
CREATE TABLE hers.huge (id int, x text);
CREATE FUNCTION hers.one() RETURNS hers.huge LANGUAGE sql AS 'SELECT NULL::hers.huge';
SQL
	with_text('ALTER TABLE hers.huge ALTER x SET DEFAULT %L', 5_000_000);
	foreach my $case (
		[   'a rule that fills it',
			'CREATE RULE r AS ON INSERT TO hers.procrastinate_events DO ALSO'
			  . ' INSERT INTO hers.huge VALUES (NEW.id)',
			'DROP RULE r ON hers.procrastinate_events',
			'events' ],
		[   'a rule that calls a function with its columns',
			'CREATE RULE r AS ON INSERT TO hers.procrastinate_events DO ALSO'
			  . ' SELECT 1 FROM hers.one()',
			'DROP RULE r ON hers.procrastinate_events',
			'events' ],
		[   'a default with one of its columns',
			'ALTER TABLE hers.procrastinate_jobs ALTER args SET DEFAULT'
			  . ' to_jsonb((hers.one()).id)',
			'ALTER TABLE hers.procrastinate_jobs ALTER args DROP DEFAULT',
			'jobs' ],
		[   'a check of its rows',
			'ALTER TABLE hers.procrastinate_jobs ADD CHECK'
			  . ' ((ROW(priority, task_name)::hers.huge).x IS NOT NULL)',
			'ALTER TABLE hers.procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_check',
			'jobs' ])
	{
		my ($what, $make, $remove, $table) = @$case;
		query($make);
		my $reader = new_session($node, $database);
		$reader->query('SELECT count(*) FROM procrastinate_heads()');
		my $before = cached($reader);
		like(
			$reader->refusal(q{SELECT * FROM procrastinate_detect(schema => 'hers')}),
			qr/^PM010: definition of table hers\.procrastinate_$table is too large to read$/m,
			"$what is not printed");
		stays_small($reader, $before, $what);
		query($remove);
	}
	query('ALTER TABLE hers.procrastinate_jobs ALTER args SET DEFAULT $${}$$');
	query('ALTER INDEX hers.procrastinate_jobs_priority_idx_v1 RENAME TO other;'
		  . ' CREATE INDEX procrastinate_jobs_priority_idx_v1 ON hers.huge (id)');
	like(
		refused(
			'postgres',
			q{SELECT * FROM procrastinate_check(schema => 'hers')},
			qr/PM010: definition of table hers\.huge is too large to read/,
			'nor is an index of ours on it'),
		qr/^HINT:  Look at it first; then: ALTER TABLE hers\.huge ALTER COLUMN x DROP DEFAULT;/m,
		'which is told');
	query('DROP SCHEMA hers CASCADE');
	return;
}

# Of a domain, which the server also reads for a domain above it, an array and a function of it.
sub domains
{
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('head', 'hers')});
	query(<<'SQL');
DO $$
BEGIN
	EXECUTE format('CREATE DOMAIN hers.huge AS text DEFAULT %L',
		(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500000) AS n));
END $$;
CREATE DOMAIN hers.above AS hers.huge DEFAULT NULL;
CREATE FUNCTION hers.one() RETURNS hers.huge LANGUAGE sql AS $$SELECT ''::hers.huge$$;
CREATE FUNCTION hers.rows(OUT a int, OUT x hers.huge) LANGUAGE sql AS $$SELECT 1, ''::hers.huge$$;
SQL
	my $jobs = 'hers.procrastinate_jobs';
	my $trigger = sub {
		my ($condition) = @_;
		return "CREATE TRIGGER own BEFORE UPDATE ON $jobs FOR EACH ROW"
		  . " WHEN ($condition IS NOT NULL)"
		  . ' EXECUTE FUNCTION suppress_redundant_updates_trigger()';
	};
	foreach my $case (
		[ 'a cast to a domain above it', $trigger->('NEW.task_name::hers.above') ],
		[ 'a function that returns it',  $trigger->('hers.one()') ],
		[ 'a function with a column of it', $trigger->('(hers.rows()).a') ],
		[ 'a cast to its array',
			$trigger->('ARRAY[NEW.task_name]::hers.huge[]') ],
		[ 'a column of its array', "ALTER TABLE $jobs ADD own hers.huge[]" ])
	{
		my ($what, $make) = @$case;
		query($make);
		my $reader = new_session($node, $database);
		$reader->query('SELECT count(*) FROM procrastinate_heads()');
		my $before = cached($reader);
		like(
			$reader->refusal(q{SELECT * FROM procrastinate_detect(schema => 'hers')}),
			qr/^PM010: definition of table hers\.procrastinate_jobs is too large to read$/m,
			"$what is not printed");
		stays_small($reader, $before, $what);
		query($make =~ /TRIGGER/ ? "DROP TRIGGER own ON $jobs" : "ALTER TABLE $jobs DROP own");
	}
	query('DROP SCHEMA hers CASCADE');
	return;
}

# Of functions with a name of ours, which do not compress well. The system cache would keep them.
sub functions
{
	query('CREATE SCHEMA hers');
	query(q{SELECT procrastinate_upgrade('head', 'hers')});
	query(<<'SQL');
SET check_function_bodies = off;
DO $$
DECLARE
	body text := (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 500000) AS n);
BEGIN
	EXECUTE format('CREATE FUNCTION hers.procrastinate_finish_job(int) RETURNS int LANGUAGE sql'
		' AS %L', body);
END $$;
SQL
	my $reader = new_session($node, $database);
	$reader->query('SELECT count(*) FROM procrastinate_heads()');
	my $before = cached($reader);
	is( $reader->query(
			q{SELECT object, problem FROM procrastinate_check(schema => 'hers') UNION ALL}
			  . q{ SELECT revision, 'current' FROM procrastinate_current('hers')}
		),
		"procrastinate_finish_job(integer)|extra\n$HEAD_NAME|current",
		'a function of 16 MB is extra');
	stays_small($reader, $before, 'its body');
	query('DROP SCHEMA hers CASCADE');
	return;
}
