# CALL procrastinate_migrate(): commits after each step, fails where it cannot commit, and leaves
# the session's settings as they were.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
my $refusal  = '25001: procrastinate_migrate() cannot run inside a transaction block';

commits();
installs_at_once();
stays_done();
refuses();
non_atomic();
targets();
session_as_before();
strange_settings();
is( join('', grep { /WARNING: / } split /^/m, slurp($node->logfile)),
	'', 'the server has logged no warning');
done_testing();

# A schema at a revision, and a session whose search_path shows it and the extension.
sub installation
{
	my ($schema, $revision) = @_;
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	upgrade($node, $database, $revision, $schema) if $revision;
	my $session = new_session($node, $database);
	$session->query("SET search_path = $schema, public");
	return $session;
}

# The SQL for the migrations of a schema: how many, in how many transactions, the last revision.
sub events
{
	my ($schema) = @_;
	return "SELECT count(*), count(DISTINCT xmin::text), max(to_revision)"
	  . " FROM $schema.procrastinate_schema_history WHERE event !~ '^step '";
}

# ------------------------------------------------------------------------------------------------
# Commits
# ------------------------------------------------------------------------------------------------

sub commits
{
	my $session = installation('watched', 1);
	my $reader  = new_session($node, $database, 'watched');
	my $watcher = new_session($node, $database, 'watched');
	$reader->query(
		'INSERT INTO procrastinate_jobs (queue_name, task_name, lock, scheduled_at)'
		  . q{ VALUES ('q', 't', 'l', now()), ('q', 't', 'm', now())});

	$session->query(q{CALL procrastinate_migrate('0023')});

	# A cursor that is open keeps 0024 from changing the table that it reads. It is asked for again
	# and again, with pauses in between.
	$reader->query('BEGIN; DECLARE c CURSOR FOR TABLE procrastinate_events; FETCH c');
	$session->send('CALL procrastinate_migrate()');
	$node->poll_query_until(
		$database,
		"SELECT wait_event = 'Extension' AND (SELECT max(to_revision) = '0023' FROM"
		  . " watched.procrastinate_schema_history)"
		  . " FROM pg_stat_activity WHERE pid = $session->{pid}")
	  or die 'procrastinate_wait() does not wait';
	is( $watcher->query(events('watched')),
		'23|23|0023', 'other sessions see each revision once its transaction has committed');
	is( $watcher->query("SELECT revision FROM public.procrastinate_current('watched')"),
		'0023', 'other sessions see the revision before the step that waits');

	$node->safe_psql($database, "SELECT pg_cancel_backend($session->{pid})");
	my (undef, $error) = $session->wait;
	is($error, '57014: canceling statement due to user request', 'the waiting step is cancelled');
	is($watcher->query(events('watched')), '23|23|0023',         'the committed steps stay');
	$reader->query('COMMIT');
	is_at($node, $database, 'watched', 23, 'the schema is at the revision before');

	$session->query('CALL procrastinate_migrate()');
	is($watcher->query(events('watched')), "$HEAD|$HEAD|$HEAD_NAME",
		'the next call runs the remaining migrations');
	is_at($node, $database, 'watched', $HEAD, 'the next call ends at head');
	is($watcher->query('SELECT count(*) FROM procrastinate_jobs'), '2', 'no job is lost');
	is( $session->query(
			q{SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()}
			  . q{ AND locktype = 'advisory'}),
		'0',
		'no lock is left after the call');
	$_->close foreach $session, $reader, $watcher;
	return;
}

sub installs_at_once
{
	my $session = installation('at_once', 0);
	my $plan = q{SELECT revision, step, kind, lock IS NULL FROM}
	  . q{ procrastinate_plan_details(schema => 'at_once')};
	is($session->query($plan), "$HEAD_NAME|1|brief|t", 'the plan from base to head is one step');
	$session->query(q{CALL procrastinate_migrate(schema => 'at_once')});
	is( $session->query(
			q{SELECT event, from_revision, to_revision FROM procrastinate_log('at_once')}),
		"install|base|$HEAD_NAME",
		'and the call creates the schema of head directly');
	is_at($node, $database, 'at_once', $HEAD, 'which has its catalog');
	$session->close;
	return;
}

sub stays_done
{
	my $session = installation('in_the_way', 0);
	$session->query(q{CALL procrastinate_migrate('0001', 'in_the_way')});
	$session->query(
		q{INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)}
		  . q{ SELECT 'q', 't', 'l', 'doing' FROM generate_series(1, 2)});
	$session->query('SET procrastinate_migrate.verify = off');
	is( $session->refusal('CALL procrastinate_migrate()'),
		'23505: could not create unique index "procrastinate_jobs_lock_idx"', '0008 fails');
	is( is_as_recorded($node, $database, 'in_the_way', 'the steps before stay'),
		7, 'the 7 revisions before stay');
	is($session->query(events('in_the_way')), '7|7|0007', 'the history has these revisions');
	$session->query('DELETE FROM procrastinate_jobs WHERE id = 2');
	is($session->refusal('CALL procrastinate_migrate()'), 'no error', 'the next call succeeds');
	is_at($node, $database, 'in_the_way', $HEAD, 'the next call ends at head');
	$session->close;
	return;
}

# ------------------------------------------------------------------------------------------------
# Refuses
# ------------------------------------------------------------------------------------------------

sub refuses
{
	my $session = installation('refused', 5);
	$session->query(<<'SQL');
SET search_path = public;
CREATE FUNCTION by_function() RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN CALL procrastinate_migrate(); END $$;
CREATE PROCEDURE with_a_setting() LANGUAGE plpgsql SET work_mem = '4MB'
	AS $$ BEGIN CALL procrastinate_migrate(); END $$;
CREATE PROCEDURE as_its_owner() LANGUAGE plpgsql SECURITY DEFINER
	AS $$ BEGIN CALL procrastinate_migrate(); END $$;
CREATE FUNCTION by_trigger() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN CALL procrastinate_migrate(); RETURN NULL; END $$;
CREATE TABLE fires (a int);
CREATE TRIGGER fires AFTER INSERT ON fires FOR EACH ROW EXECUTE FUNCTION by_trigger();
SET search_path = refused, public
SQL
	my $do    = 'DO $$ BEGIN CALL procrastinate_migrate(); END $$';
	my @cases = (
		[ 'in a transaction block',        'BEGIN; CALL procrastinate_migrate()' ],
		[ 'after a savepoint',             'BEGIN; SAVEPOINT s; CALL procrastinate_migrate()' ],
		[ 'in a function',                 'SELECT by_function()' ],
		[ 'in a trigger',                  'INSERT INTO fires VALUES (1)' ],
		[ 'in a procedure with a setting', 'CALL with_a_setting()' ],
		[ 'in a procedure with security definer', 'CALL as_its_owner()' ],
		[ 'in a DO block of a transaction block', "BEGIN; $do" ],);
	foreach my $case (@cases)
	{
		is($session->refusal($case->[1]), $refusal, "the call is refused $case->[0]");
		$session->query('ROLLBACK') if $case->[1] =~ /^BEGIN/;
	}

	# Several statements in one message are one transaction (psql: parted by \;).
	foreach my $several (
		'SELECT 1 \; CALL procrastinate_migrate()',
		'CALL procrastinate_migrate() \; SELECT 1')
	{
		is($session->refusal($several), $refusal,
			"the call is refused as one of several statements: $several");
	}

	# What cannot be told beforehand ends in the server's own error, and nothing is changed.
	my $caught = 'DO $$ BEGIN CALL procrastinate_migrate(); EXCEPTION WHEN division_by_zero THEN'
	  . ' NULL; END $$';
	like(
		$session->refusal($caught), qr/^(?:25001|2D000): /,
		'in a block that catches errors it cannot commit');
	is_at($node, $database, 'refused', 5, 'the refused calls have changed nothing');
	is($session->query(events('refused')), '5|1|0005', 'the refused calls have added no history');

	my ($out, $err);
	$node->psql(
		$database,       "BEGIN; CALL procrastinate_migrate('head', 'refused');",
		stdout => \$out, stderr => \$err);
	like($err, qr/^DETAIL:  It commits after each step\.$/m,    'the DETAIL gives the reason');
	like(
		$err,
		qr/^HINT:  .*SELECT public\.procrastinate_upgrade\('head', schema => 'refused'\);$/m,
		'the HINT has the call of procrastinate_upgrade()');
	is( $session->refusal('SET default_transaction_read_only = on; CALL procrastinate_migrate()'),
		'25006: cannot execute procrastinate_migrate() in a read-only transaction',
		'the call is refused in a read-only transaction');
	$session->close;
	return;
}

# ------------------------------------------------------------------------------------------------
# Called by other code that may commit
# ------------------------------------------------------------------------------------------------

sub non_atomic
{
	my $session = installation('by_do', 0);
	$session->query(<<'SQL');
DO $$
DECLARE
	kept text := 'kept';
	path text := current_setting('search_path');
	target text;
BEGIN
	FOR target IN SELECT * FROM (VALUES ('0010'), ('+5'), ('0031')) AS targets LOOP
		CALL procrastinate_migrate(target, 'by_do');
		ASSERT kept = 'kept' AND current_setting('search_path') = path;
	END LOOP;
	CALL procrastinate_migrate();
END $$
SQL
	is($session->query(events('by_do')), "$HEAD|$HEAD|$HEAD_NAME",
		'a DO block may call it several times');
	is_at($node, $database, 'by_do', $HEAD, 'a DO block upgrades the schema to head');
	$session->close;

	$session = installation('by_procedure', 10);
	$session->query(<<'SQL');
CREATE TABLE public.steps (a int);
CREATE PROCEDURE public.deploy() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO steps VALUES (1);
	CALL procrastinate_migrate('0020');
	INSERT INTO steps VALUES (2);
	CALL procrastinate_migrate('nowhere');
END $$;
SQL
	like(
		$session->refusal('CALL deploy()'),
		qr/^PM001: /, q{a user's procedure calls it and fails});
	is_at($node, $database, 'by_procedure', 20, 'the steps before the failure stay');
	is( $session->query('SELECT * FROM steps'), '1',
		q{with what the user's procedure did before the last commit});
	$session->close;
	return;
}

# ------------------------------------------------------------------------------------------------
# Targets
# ------------------------------------------------------------------------------------------------

sub targets
{
	my $session = installation('targets', 10);
	my @walk    = (
		[ '+2',   12 ], [ '0012', 12 ], [ '0020-2', 18 ], [ 'current+1', 19 ],
		[ '0029', 29 ], [ 'pre',  30 ], [ '3.0.0',  31 ], [ 'head', $HEAD ], [ 'head', $HEAD ]);
	foreach my $step (@walk)
	{
		my ($target, $revision) = @$step;
		is($session->refusal("CALL procrastinate_migrate('$target')"), 'no error', "to $target");
		is_at($node, $database, 'targets', $revision, "to $target: the schema is at this target");
	}
	is( $session->query(
			'SELECT count(*), count(DISTINCT to_revision)'
			  . q{ FROM targets.procrastinate_schema_history WHERE event !~ '^step '}),
		"$HEAD|$HEAD",
		'no revision is recorded twice');
	$session->query('SET client_min_messages = notice');
	$session->send(q{CALL procrastinate_migrate('0003')});
	like(
		$session->notice(qr/past 0003/),
		qr/schema "targets" is at $HEAD_NAME \(head\), past 0003: nothing to do/,
		'an earlier revision has been passed');
	is(($session->wait)[1], '', 'which is no error');
	$session->query('SET client_min_messages = warning');
	like(
		$session->refusal('CALL procrastinate_migrate(NULL)'), qr/^22004: /,
		'NULL as the target is refused');
	is_at($node, $database, 'targets', $HEAD, 'the schema is still at head');
	$session->close;
	return;
}

# ------------------------------------------------------------------------------------------------
# The session afterwards
# ------------------------------------------------------------------------------------------------

# All settings, and whatever else a session has.
my $all_settings = <<'SQL';
SELECT md5(string_agg(name || '=' || setting || '=' || source, ' ' ORDER BY name)),
       current_setting('search_path'), current_user, session_user,
       (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_prepared_statements)
  FROM pg_settings
SQL

sub session_as_before
{
	my $session = installation('settings', 0);
	$session->query(
		'SET search_path = public, "no such schema", settings;'
		  . ' SET check_function_bodies = off; SET transform_null_equals = on;'
		  . q{ SET work_mem = '5MB'; SET lock_timeout = '1min'; SET procrastinate_migrate.verify =}
		    . q{ off}
	);
	my $before = $session->query($all_settings);
	my @calls  = (
		[ 'after a call',     'no error',     q{CALL procrastinate_migrate('0020', 'settings')} ],
		[ 'after an upgrade', 'no error',     q{SELECT procrastinate_upgrade('0023', 'settings')} ],
		[ 'after a call that fails', 'PM009', q{CALL procrastinate_migrate('0024', 'settings')} ],
		[   'after an upgrade that fails', '0A000',
			q{SELECT procrastinate_upgrade('0024', 'settings')} ],
		[   'after a call with nothing to do', 'no error',
			q{CALL procrastinate_migrate('0023', 'settings')} ],
		[   'after a call that is refused', 'PM001',
			q{CALL procrastinate_migrate('0099', 'settings')} ],);
	foreach my $case (@calls)
	{
		my ($when, $expected, $call) = @$case;
		$session->query(
			'CREATE VIEW settings.v AS SELECT job_id FROM settings.procrastinate_events')
		  if $when eq 'after a call that fails';
		is($session->refusal($call) =~ s/:.*//r, $expected, "$when: as expected");
		is($session->query($all_settings), $before, "$when the session's settings are as before");
	}

	# Settings of the transaction only, around an upgrade.
	$session->query('DROP VIEW settings.v; BEGIN; SET LOCAL search_path = settings, public');
	$session->query(q{SELECT procrastinate_upgrade('0026')});
	is( $session->query('SHOW search_path'),
		'settings, public', 'an upgrade leaves the transaction its search_path');
	$session->query('SAVEPOINT s');
	like(
		$session->refusal(q{SELECT procrastinate_upgrade('head')}), qr/^PM007/,
		'an upgrade in the same transaction is refused');
	$session->query('ROLLBACK TO s');
	is( $session->query('SHOW search_path'),
		'settings, public', 'an upgrade that is refused leaves the transaction its search_path');
	$session->query('COMMIT');
	is($session->query($all_settings), $before, 'after the transaction the settings are as before');
	is_at($node, $database, 'settings', 26, 'the transaction was committed');
	$session->close;
	return;
}

sub strange_settings
{
	my $session  = installation('strange', 0);
	my @settings = accepted_settings(
		$node,
		'standard_conforming_strings = off',
		'escape_string_warning = off',
		'transform_null_equals = on',
		'check_function_bodies = off',
		'quote_all_identifiers = on',
		'array_nulls = off',
		q{datestyle = 'SQL, DMY'},
		q{intervalstyle = 'sql_standard'},
		q{timezone = 'Asia/Kathmandu'},
		'default_table_access_method = heap',
		'plpgsql.variable_conflict = use_variable',
		'client_encoding = latin1');
	$session->query(join ';', map { "SET $_" } @settings);
	is( $session->refusal(q{CALL procrastinate_migrate('0030', 'strange')}),
		'no error', 'the procedure works with unusual settings');
	is( $session->refusal(q{SELECT procrastinate_upgrade('0038', 'strange')}),
		'no error', 'an upgrade works with unusual settings');
	is($session->query('SHOW transform_null_equals'), 'on', 'unusual settings are kept');
	is_at($node, $database, 'strange', 38, 'the schema is the same as with default settings');
	$session->close;
	return;
}
