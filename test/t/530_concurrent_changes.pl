# Changes by users during procrastinate_migrate(), or between two calls: nothing is lost without an
# error, and every job is migrated.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

a_job_that_is_being_aborted();
a_job_that_comes_late();
events_that_change();
ids_below_zero();
a_dump_between_two_steps();
settings_of_the_role();
no_later_deadlock_check();
a_wait_that_is_cancelled();
done_testing();

# By a transaction that began before the functions were dropped that do that.
sub a_job_that_is_being_aborted
{
	my $session = queue('aborting', 30, 3);
	my $worker  = session('aborting');
	$worker->query(q{SELECT procrastinate_fetch_job_v1(NULL)});
	my $id = $worker->query(q{SELECT id FROM procrastinate_jobs WHERE status = 'doing'});
	$worker->query(
		"BEGIN; SELECT procrastinate_cancel_job($id, true, false); SELECT 'something else'");
	$session->send(q{CALL procrastinate_migrate('0031', force => true)});
	wait_for_build($node, $database);
	$worker->query('COMMIT');
	is(($session->wait)[1], '', '0031 waits for who may have aborted a job by an older function');
	is($session->query("SELECT status, abort_requested FROM procrastinate_jobs WHERE id = $id"),
		'doing|t', 'and finds the job');
	is($worker->refusal("SELECT procrastinate_finish_job_v1($id, 'aborted', false)"), 'no error',
		'which can be finished');
	is_at($node, $database, 'aborting', 31, 'the schema is at 0031');
	$_->close foreach $session, $worker;
	return;
}

# A user's UPDATE makes a job 'aborting' after its batch is done.
sub a_job_that_comes_late
{
	my $session = queue('late', 30, 2500);
	my ($locker, $caller) = map { session('late') } 1 .. 2;
	$session->query(q{UPDATE procrastinate_jobs SET status = 'doing' WHERE id IN (5, 2000)});
	$session->query(q{UPDATE procrastinate_jobs SET status = 'aborting' WHERE id = 2000});
	$locker->query(
		'BEGIN; SELECT count(*) FROM (SELECT FROM procrastinate_jobs WHERE id = 2000 FOR UPDATE) AS'
		  . ' locked'
	);
	$caller->send(q{CALL procrastinate_migrate('0031', force => true)});
	wait_until(
		q{SELECT event ~ '^step 0031.2, ' FROM procrastinate_log('late') ORDER BY id DESC LIMIT 1},
		'a batch is done');
	$session->query(q{UPDATE procrastinate_jobs SET status = 'aborting' WHERE id = 5});
	$locker->query('COMMIT');
	is(($caller->wait)[1], '', 'the call gets to its end');
	is( $session->query(
			'SELECT id, status, abort_requested FROM procrastinate_jobs WHERE abort_requested ORDER'
			  . ' BY id'
		),
		"5|doing|t\n2000|doing|t",
		'and a job that came late is not left behind');
	is_at($node, $database, 'late', 31, 'at 0031');
	$_->close foreach $session, $locker, $caller;
	return;
}

# Events change while a low rate of WAL slows the batches down.
sub events_that_change
{
	my $session = queue('changing', 23, 3000);
	$session->query(
		'ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER; INSERT INTO procrastinate_jobs'
		  . ' (queue_name, task_name)'
		  . q{ VALUES ('queue', 'task'); ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER});
	my $caller = session('changing');
	$caller->query(q{SET procrastinate_migrate.max_wal_rate = '1kB'});
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_until(
		$caller->pauses
		  . q{ AND EXISTS (SELECT FROM procrastinate_log('changing') WHERE event ~ '^step 0024.1')},
		'it pauses after a batch');
	my $filled =
	  'SELECT count(job_id_bigint) > 0 AND count(job_id_bigint) < 3000 FROM procrastinate_events';
	is($session->query($filled), 't', 'max_wal_rate makes a batch wait for the next');
	is( $session->query(
			q{SELECT kind, done > 0, "left" > 0, done + "left", pid FROM procrastinate_progress}
			  . q{ WHERE schema = 'changing'::regnamespace}
		),
		"batched|t|t|3000|$caller->{pid}",
		'procrastinate_progress shows the rows done and left');
	is($session->refusal('UPDATE procrastinate_events SET at = now() WHERE id IN (1, 3000)'),
		'no error', 'an event can be changed meanwhile');
	$session->query(
		'BEGIN; INSERT INTO procrastinate_schema_history (id, event, from_revision, to_revision,'
		  . ' duration, version, system_identifier, database_oid)'
		  . q{ SELECT max(id) + 1, 'step 0024.1, 2999 of 3000', '0023', '0023', '0', max(version),}
		  . " $THIS_DATABASE"
		  . q{ FROM procrastinate_schema_history}
	);
	is( $session->query(
			q{SELECT p.done, p.since = l.applied_at FROM procrastinate_progress AS p,}
			  . q{ procrastinate_log() AS l WHERE l.event = 'step 0024.1'}
		),
		'2999|t',
		'since when does not change while it goes on');
	$session->query('ROLLBACK');
	$session->query(
		q{SET session_replication_role = replica; INSERT INTO procrastinate_events (job_id, type)}
		  . q{ VALUES (3001, 'deferred')}
	);
	$session->query('RESET session_replication_role');
	is($session->query($filled), 't', 'and the batches still wait');
	$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
	is(($caller->wait)[1], '57014: canceling statement due to user request',
		'what waits can be cancelled');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'the next call gets to its end');
	is($session->query('SELECT count(*) FROM procrastinate_events WHERE job_id = id'), '3001',
		'with all events as they were, and one that came by replication');
	is_at($node, $database, 'changing', 24, 'at 0024');
	$_->close foreach $session, $caller;
	return;
}

# Negative ids, as after a wrap-around.
sub ids_below_zero
{
	foreach my $case ([ 23, 'events', 'job_id_bigint IS NULL' ],
		[ 29, 'jobs', q{status = 'aborting' AND NOT abort_requested} ],
		[ 30, 'jobs', q{status = 'aborting'} ])
	{
		my ($before, $table, $left) = @{$case};
		my ($schema, $target) = ("below_$before", sprintf '%04d', $before + 1);
		my $session = queue($schema, $before, 0);
		$session->query(
			'INSERT INTO procrastinate_jobs (id, queue_name, task_name)'
			  . q{ SELECT id, 'queue', 'task' FROM generate_series(-1700, 1700) AS id});
		$session->query(q{UPDATE procrastinate_events SET id = job_id});
		$session->query(
			q{UPDATE procrastinate_jobs SET status = 'doing'; UPDATE procrastinate_jobs SET status}
			  . q{ = 'aborting'}
		) if $before > 23;
		my $caller = session($schema);
		$caller->query(q{SET procrastinate_migrate.max_wal_rate = '1kB'});
		$caller->send("CALL procrastinate_migrate('$target')");
		wait_until(
			"SELECT count(*) = 1 FROM procrastinate_log('$schema') WHERE event ~ '^step"
			  . " ${target}[.][0-9], -[0-9]+ of 1700\$'",
			'a batch is done');
		$node->safe_psql($database, "SELECT pg_cancel_backend($caller->{pid})");
		is(($caller->wait)[1], '57014: canceling statement due to user request',
			"$target: a call is cancelled in batches of rows with ids below 0");
		my $count = $session->query("SELECT count(*) FROM procrastinate_$table WHERE $left");
		cmp_ok($count, '>', 1700, 'more than half of them are left');
		cmp_ok($count, '<', 3401, 'but not all');
		is( $session->query(
				q{SELECT done BETWEEN -1700 AND -1, done + "left" FROM procrastinate_progress WHERE}
				  . q{ schema = current_schema()::regnamespace}
			),
			't|1700',
			'who looks on sees how far it came');
		is($session->refusal("CALL procrastinate_migrate('$target')"), 'no error',
			'the next one goes on');
		is( $session->query(
				'SELECT count(*), count(*) FILTER (WHERE job_id = id) FROM procrastinate_events'),
			'3401|3401',
			'to the last event') if $before == 23;
		is($session->query('SELECT count(*) FROM procrastinate_jobs WHERE abort_requested'),
			'3401', 'to the last job')
		  if $before > 23;
		is_at($node, $database, $schema, $before + 1, 'and ends');
		$_->close foreach $session, $caller;
	}
	return;
}

# The dumped functions contain the barrier, and its table is dumped, too.
sub a_dump_between_two_steps
{
	my $session = queue('dumped', 31, 1);
	my $reader  = session('dumped');
	$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS SHARE MODE');
	is($session->refusal(q{CALL procrastinate_migrate('0032', retry_for => '0')}) =~ s/:.*//sr,
		'55P03', 'the barrier is installed and the call given up');
	$reader->query('COMMIT');
	my $bodies =
	  q{SELECT count(*) FILTER (WHERE prosrc ~ 'procrastinate_fetch_barrier'), count(*) FROM}
	    . q{ pg_proc}
	  . q{ WHERE pronamespace = 'dumped'::regnamespace AND proname ~ '^procrastinate_fetch_job'};
	is($session->query($bodies), '1|1', 'the fetch function looks for it');
	$_->close foreach $session, $reader;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/dumped.sql";
	$node->command_ok([ 'pg_dump', '-d', $node->connstr($database), '-n', 'dumped', '-f', $file ],
		'the schema is dumped');
	my $other = new_database($node);
	$node->command_ok(
		[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($other), '-f', $file ],
		'and restored');
	my $call = q{CALL procrastinate_migrate('0032', 'dumped', retry_for => '0')};
	$node->safe_psql($other, q{SELECT procrastinate_adopt('dumped', copy => true)});
	$reader = user_session($node, $other, 'dumped');
	$reader->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS SHARE MODE');
	my (undef, undef, $error) = $node->psql($other, $call);
	like($error, qr/ERROR:  .* could not get its locks/,
		'a call there is given up at the barrier, too');
	is( $node->safe_psql(
			$other, q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'dumped'::regnamespace}
			  . q{ AND prosrc ~ ('LOCK TABLE dumped.procrastinate_fetch_barrier')}),
		'1',
		'whose table is that of the schema there');
	$reader->query('COMMIT');
	$reader->close;
	$node->safe_psql($other, q{CALL procrastinate_migrate('0032', 'dumped')});
	is($node->safe_psql($other, $bodies), '0|2', 'the next call removes the barrier');
	is_at($node, $other, 'dumped', 32, 'and ends at 0032');
	return;
}

sub settings_of_the_role
{
	my $session = queue('settings', 19, 1);
	my $me      = $session->query('SELECT current_user');
	$session->query(
		qq{ALTER ROLE "$me" SET default_transaction_read_only = on; ALTER ROLE "$me" SET}
		  . qq{ statement_timeout = '1 ms'}
	);
	my $error = $session->refusal(q{CALL procrastinate_migrate('0020')});
	$session->query(qq{ALTER ROLE "$me" RESET ALL});
	is($error, 'no error', 'the worker of a build does not have limits that the caller has not');
	is_at($node, $database, 'settings', 20, 'and the index is there');
	$session->close;
	return;
}

# Otherwise a client would find the deadlock first and be ended.
sub no_later_deadlock_check
{
	my $session = queue('deadlock', 20, 1);
	$session->query(<<'SQL');
CREATE TABLE public.seen (deadlock_timeout text, lock_timeout text);
CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.seen VALUES (current_setting('deadlock_timeout'),
	current_setting('lock_timeout'));
END $$;
CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('ALTER TABLE')
	EXECUTE FUNCTION public.note();
SET deadlock_timeout = '800ms';
SQL
	foreach my $case ([ '0021', '10 s', '400ms|10s' ], [ '0024', '100 ms', '50ms|100ms' ])
	{
		my ($target, $lock_timeout, $seen) = @$case;
		$session->query(
			"TRUNCATE public.seen; CALL procrastinate_migrate('$target', lock_timeout =>"
			  . " '$lock_timeout')"
		);
		is( $session->query('SELECT DISTINCT deadlock_timeout, lock_timeout FROM public.seen'),
			$seen,
			"at a lock_timeout of $lock_timeout a deadlock is found no later than by others");
	}
	is($session->query('SHOW deadlock_timeout'), '800ms',
		'and the setting is as before afterwards');
	$session->query('DROP EVENT TRIGGER note; DROP FUNCTION public.note(); DROP TABLE public.seen');
	$session->close;
	return;
}

sub a_wait_that_is_cancelled
{
	my $session = queue('waited', 36, 1);
	$session->send(q{CALL procrastinate_wait('head')});
	wait_until($session->pauses, 'it waits');
	$node->safe_psql($database, "SELECT pg_cancel_backend($session->{pid})");
	is(($session->wait)[1], '57014: canceling statement due to user request',
		'a wait can be cancelled');
	is($session->query('SELECT count(*) FROM pg_listening_channels()'), '0',
		'and the session does not listen any more');
	is($session->refusal(q{CALL procrastinate_wait('head', '1 s')}) =~ s/:.*//sr, 'PM014',
		'nor after one that was in vain');
	is($session->query('SELECT count(*) FROM pg_listening_channels()'), '0', 'it does not listen');
	my $other = session('waited');
	$session->send(q{CALL procrastinate_wait('head')});
	wait_until($session->pauses, 'it waits again');
	$other->query('ALTER TABLE procrastinate_schema_history DROP COLUMN version CASCADE');
	isnt(($session->wait)[1], '', 'it ends when the history is none any more');
	is($session->query('SELECT count(*) FROM pg_listening_channels()'), '0', 'and does not listen');
	$_->close foreach $session, $other;
	return;
}
