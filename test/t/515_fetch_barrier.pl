# The fetch barrier: while columns of the jobs table change, new fetches return no job at once,
# running fetches finish first, and nothing of the barrier is left afterwards.

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

barrier();
barrier_and_idle_transactions();
fetches_that_overlap();
workers_find_it_closed();
removal_waits_for_a_fetch();
workers_are_notified();
done_testing();

sub bodies
{
	my ($schema) = @_;
	return $node->safe_psql(
		$database,
		"SELECT string_agg(proname || md5(prosrc), ' ' ORDER BY 1) FROM pg_proc WHERE pronamespace"
		  . " = '$schema'::regnamespace"
	);
}

sub barrier
{
	my $schema = filled_schema('barrier', 24);
	my $before = bodies($schema);
	my ($reader, $caller, $worker, $owner) = map { session($schema) } 1 .. 4;

	# A reader blocks the step that adds the column.
	$reader->query('BEGIN; DECLARE c CURSOR FOR TABLE procrastinate_jobs; FETCH c');
	$caller->send("CALL procrastinate_migrate('0025')");
	is( cancelled_after($node, $database, $caller, $schema, '0025.1'),
		'57014: canceling statement due to user request',
		'the call is cancelled before the column comes');
	isnt(bodies($schema), $before, 'install the fetch barrier');
	is($owner->refusal(qq{CALL procrastinate_wait('1.1.2', '0 s', '$schema')}),
		'no error', 'what the steps have changed so far ends no wait for a release');
	is( $caller->query(
			q{SELECT count(*) FROM pg_locks WHERE relation = 'procrastinate_fetch_barrier'::regclass}
			  . q{ OR locktype = 'advisory'}
		),
		'0',
		'the barrier is open: the call holds no lock any more');
	like(
		$worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), qr/^\d+$/,
		'a fetch gets a job while the barrier is open');

	my $lock = 'LOCK TABLE procrastinate_fetch_barrier IN ACCESS EXCLUSIVE MODE';
	$owner->query("BEGIN; $lock");
	is( $worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL',
		'a fetch gets no job, and does not wait, while the barrier is closed');
	is($worker->query('SELECT (procrastinate_fetch_job(NULL)) IS NULL'), 't',
		'nor in a select list');
	$reader->query('COMMIT');
	$caller->query('BEGIN; LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE');
	$worker->query(q{SET statement_timeout = '10 s'});
	$worker->send('SELECT id FROM procrastinate_fetch_job(NULL)');
	is(join('', $worker->wait), 'NULL', 'nor does it wait for the table');
	$worker->query('RESET statement_timeout');
	$_->query('COMMIT') foreach $caller, $owner;

	# A running fetch keeps the barrier open.
	$worker->query('BEGIN; SELECT id FROM procrastinate_fetch_job(NULL)');
	is($owner->refusal("BEGIN; $lock NOWAIT") =~ s/:.*//sr,
		'55P03', 'a fetch holds the barrier open to its end');
	$owner->query('ROLLBACK');
	$worker->query('COMMIT');

	$worker->query('LISTEN procrastinate_any_queue; LISTEN "procrastinate_queue#queue 1"');
	$caller->query("CALL procrastinate_migrate('0025')");
	is( join(', ', sort map { s/ procrastinate_migrate$//r } $worker->notifications),
		'procrastinate_any_queue, procrastinate_queue#queue 1',
		'workers are notified when the barrier is removed');
	is_at($node, $database, $schema, 25, 'the next call ends at 0025');
	is( $node->safe_psql($database, "SELECT count(*) FROM procrastinate_check('0025', '$schema')"),
		'0', 'the functions are those of 0025: nothing of the barrier is left');
	is($owner->query(q{SELECT to_regclass('procrastinate_fetch_barrier') IS NULL}),
		't', 'nor is its table');
	$_->close foreach $reader, $caller, $worker, $owner;

	# A function body that cannot be put into a block is left as it is.
	$schema = filled_schema('own_body', 24);
	$node->safe_psql($database, <<"SQL");
CREATE OR REPLACE FUNCTION $schema.procrastinate_fetch_job(target_queue_names character varying[])
RETURNS $schema.procrastinate_jobs LANGUAGE plpgsql AS '-- our own
#variable_conflict error
BEGIN RETURN NULL; END;'
SQL
	my (undef, undef, $err) = $node->psql(
		$database,
		"SET procrastinate_migrate.verify = warn; CALL procrastinate_migrate('0025', '$schema')");
	like(
		$err,
		qr/WARNING:\ \ function\ own_body\.procrastinate_fetch_job\(character\ varying\[\]\)
			\ is\ not\ one\ of\ Procrastinate's/x,
		'a warning names a function that is replaced');
	is_at($node, $database, $schema, 25, 'and the column comes');

	# The server stores a long body out of line.
	$schema = filled_schema('long_body', 24);
	$node->safe_psql($database, <<"SQL");
SET search_path = $schema, public;
DO \$\$ BEGIN EXECUTE (
	SELECT replace(pg_get_functiondef('$schema.procrastinate_fetch_job'::regproc), 'BEGIN',
	'BEGIN /* ' || string_agg(md5(n::text), ' ') || ' */')
	  FROM generate_series(1, 1000) AS n);
END \$\$
SQL
	(undef, undef, $err) = $node->psql(
		$database,
		"SET client_min_messages = warning; SET procrastinate_migrate.verify = off; CALL"
		  . " procrastinate_migrate('0025', '$schema')"
	);
	is($err, '', 'a long body is kept, too');
	is_at($node, $database, $schema, 25, 'as the column comes');
	return;
}

# After the step that changes the columns, the barrier stays closed for a transaction that has no
# snapshot at the moment: it may have planned a fetch before. A transaction that waits for the
# schema is no fetch.
sub barrier_and_idle_transactions
{
	my $idle    = session('public');
	# In another database: its own transactions must not be waited for.
	my $watcher = new_session($node, 'postgres');
	my $is_seen_closed = sub {
		my ($schema) = @_;
		my $caller = session(filled_schema($schema, 24));
		$caller->send(q{CALL procrastinate_migrate('0025')});
		my $is_seen = $watcher->query(pauses_with_lock($caller->{pid}));
		my (undef, $error) = $caller->wait;
		die "$schema: $error" if $error ne '';
		$caller->close;
		return $is_seen eq 't';
	};

	$idle->query('BEGIN');
	eventually(
		sub { $is_seen_closed->("idle_$_[0]") },
		'the barrier stays closed for a transaction that is idle');
	$idle->query('COMMIT');

	# If the call waited for it, the barrier would be seen closed for half a second, the longest
	# wait for a fetch.
	$idle->send(q{CALL procrastinate_wait('head', schema => 'idle_1')});
	wait_until($idle->pauses, 'procrastinate_wait() waits');
	eventually(
		sub { !$is_seen_closed->("waiting_$_[0]") },
		'but not for one that waits for the schema');
	$node->safe_psql($database, "SELECT pg_cancel_backend($idle->{pid})");
	$idle->wait;
	$_->close foreach $idle, $watcher;
	return;
}

# SQL that is true as soon as the session pauses while it holds the strongest lock of a table: the
# barrier is closed, and the columns have changed. False if its CALL has ended before that was seen.
sub pauses_with_lock
{
	my ($pid) = @_;
	return <<"SQL";
CREATE OR REPLACE FUNCTION pg_temp.pauses_with_lock() RETURNS boolean LANGUAGE plpgsql AS \$\$
DECLARE
	session record;
BEGIN
	LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT state, query, wait_event INTO session FROM pg_stat_activity WHERE pid = $pid;
		IF session.state = 'idle' AND session.query LIKE 'CALL %' THEN
			RETURN false;
		ELSIF session.wait_event = 'Extension' AND EXISTS (
			SELECT FROM pg_locks WHERE pid = $pid AND granted AND mode = 'AccessExclusiveLock')
		THEN
			RETURN true;
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
END \$\$;
SELECT pg_temp.pauses_with_lock()
SQL
}

# Fetches overlap without a gap. The barrier waits longer at each try; fetches that begin meanwhile
# return no job.
sub fetches_that_overlap
{
	my $there = new_database($node);
	upgrade($node, $there, 24);
	my $script = PostgreSQL::Test::Utils::tempdir() . '/slow_fetch.sql';
	append_to_file($script, "SELECT procrastinate_fetch_job(NULL), pg_sleep(0.7);\n");
	my $load = start_load($node, $there, [$script], qw(-c 5));
	wait_for($node, $there,
		q{SELECT count(*) > 3 FROM pg_stat_activity WHERE wait_event = 'PgSleep'},
		'they are at work');
	my (undef, undef, $error) =
	  $node->psql($there, q{CALL procrastinate_migrate('0025', retry_for => '20 s')});
	unlike($error, qr/ERROR/, 'the barrier is closed though fetches follow one another');
	is(stop_load($load), '', 'and none of them fails');
	is_at($node, $there, 'public', 25, 'the column has come');
	return;
}

# Workers would look for jobs again only after a while.
sub workers_find_it_closed
{
	my $schema = filled_schema('turned_away', 24);
	my ($reader, $caller, $worker) = map { session($schema) } 1 .. 3;
	$worker->query('LISTEN procrastinate_any_queue');
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	is( $caller->refusal(
			q{CALL procrastinate_migrate('0025', lock_timeout => '50 ms', retry_for => '200 ms')})
		  =~ s/:.*//sr,
		'55P03',
		'the call gives up');
	like(join(',', $worker->notifications), qr/procrastinate_any_queue/,
		'workers whose fetches returned no job are notified');
	$reader->query('COMMIT');
	$_->close foreach $reader, $caller, $worker;
	return;
}

# A fetch whose transaction stays open also keeps the barrier's table from being dropped: that
# session is named, and no other.
sub removal_waits_for_a_fetch
{
	my $schema = filled_schema('kept_open', 24);
	my ($fetcher, $reader, $caller, $worker) = map { session($schema) } 1 .. 4;
	run_sql(<<'SQL');
CREATE FUNCTION public.keep_barrier() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects()
	            WHERE object_name = 'procrastinate_fetch_barrier') THEN
		RAISE 'kept';
	END IF;
END $$;
CREATE EVENT TRIGGER keep_barrier ON sql_drop EXECUTE FUNCTION public.keep_barrier();
SQL
	is($caller->refusal(q{CALL procrastinate_migrate('0025')}), 'P0001: kept',
		'the call stops before the last step');
	run_sql('DROP EVENT TRIGGER keep_barrier; DROP FUNCTION public.keep_barrier()');
	$fetcher->query(q{BEGIN; SELECT procrastinate_fetch_job(NULL)});
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$worker->query('LISTEN procrastinate_any_queue');
	$caller->query('SET client_min_messages = notice');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	is( $caller->notice(qr/tried/) =~ s/tried .*?, for/tried n times, for/r,
		"step 0025.3: waiting for locks, tried n times, for session $fetcher->{pid}",
		'a notice names the session whose fetch is in the way');
	like(join(',', $worker->notifications), qr/procrastinate_any_queue/,
		'workers whose fetches returned no job are notified');
	$fetcher->query('COMMIT');
	is(($caller->wait)[1], '', 'then the call comes to its end');
	$reader->query('COMMIT');
	$_->close foreach $fetcher, $reader, $caller, $worker;
	return;
}

# Notifications use the channels and the payload of the releases that work on the revision.
sub workers_are_notified
{
	my @old = map { "$_ procrastinate_migrate" } 'procrastinate_any_queue',
	  'procrastinate_queue#queue 1';
	my @new = map { qq($_ {"type": "job_inserted", "job_id": 0}) } 'procrastinate_any_queue_v1',
	  'procrastinate_queue_v1#queue 1';
	foreach my $case ([ 25, @old ], [ 30, @old, @new ], [ 32, @new ])
	{
		my ($revision, @expected) = @$case;
		my $schema = filled_schema("woken_$revision", $revision - 1);
		my ($caller, $worker) = map { session($schema) } 1 .. 2;
		$worker->query('LISTEN ' . name(s/ (?:procrastinate_migrate|\{.*)//r)) foreach @old, @new;
		$caller->query("CALL procrastinate_migrate('" . revision_name($revision) . "')");
		same_lines([ sort $worker->notifications ], [ sort @expected ],
			revision_name($revision) . ' wakes workers');
		$_->close foreach $caller, $worker;
	}
	return;
}
