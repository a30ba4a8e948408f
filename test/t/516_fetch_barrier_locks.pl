# Locks of the fetch barrier that other sessions hold: of fetches that run, of roles without
# privileges, and at the moment of a timeout.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $barrier      = $LOCK_KEY{fetch_barrier};
my $installation = $LOCK_KEY{installation};
my $node         = start_server();
my $database = new_database($node);
use_database($node, $database);

fetches_of_two_kinds();
closed_as_time_is_up();
a_lock_of_another_role();
another_role_before_the_call();
done_testing();

# An old fetch function that is running at 0008 holds a lock that the table does not show yet; the
# new function would take the same lock.
sub fetches_of_two_kinds
{
	my $schema = filled_schema('two_kinds', 7);
	my ($holder, $caller, $old, $new) = map { session($schema) } 1 .. 4;
	my $oid = schema_oid($schema);
	$holder->query(
		q{UPDATE procrastinate_jobs SET status = 'succeeded'; INSERT INTO procrastinate_jobs}
		  . q{ (queue_name, task_name, lock)}
		  . q{ VALUES ('first', 'task', 'a lock'), ('second', 'task', 'a lock')});

	# Index builds wait for older transactions, so the fetch begins after them.
	$holder->query("SELECT pg_advisory_lock_shared($barrier, $oid)");
	is( $caller->refusal(
			q{CALL procrastinate_migrate('0008', lock_timeout => '50 ms', retry_for => '0')}) =~
		  s/:.*//sr,
		'55P03',
		'the barrier is installed');
	$holder->query('SELECT pg_advisory_unlock_all()');
	$old->query('BEGIN');
	is($old->query(q{SELECT queue_name FROM procrastinate_fetch_job('{second}')}), 'second',
		'an old fetch has the lock');
	$caller->send(q{CALL procrastinate_migrate('0008', lock_timeout => '10 s')});
	wait_until(
		"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $caller->{pid} AND NOT granted)"
		  . " OR EXISTS (SELECT FROM procrastinate_log('$schema') WHERE event = 'step 0008.4')",
		'the call waits for it, or does not');
	$new->send(q{SELECT (procrastinate_fetch_job('{first}')).id IS NULL});
	wait_until(
		"SELECT query ~ 'fetch_job' AND (state = 'idle' OR wait_event_type = 'Lock') FROM"
		  . " pg_stat_activity WHERE pid = $new->{pid}",
		'another fetch comes to the lock');
	$old->query('COMMIT');
	is(join(', ', $new->wait), 't, ', 'a fetch that begins meanwhile returns no job, and no error');
	is(($caller->wait)[1],     '',    'the call comes to its end');
	$old->query(
		'SELECT procrastinate_finish_job(max(id)::integer, \'succeeded\', NULL) FROM'
		  . ' procrastinate_jobs'
	);
	is($new->query('SELECT queue_name FROM procrastinate_fetch_job(NULL)'), 'first',
		'whose turn comes once the lock is free');
	is_at($node, $database, $schema, 8, 'at 0008');
	$_->close foreach $holder, $caller, $old, $new;
	return;
}

# The barrier's lock is granted at the moment at which the wait for it times out.
sub closed_as_time_is_up
{
	my $schema = filled_schema('in_time', 24);
	my ($worker, $caller, $reader) = map { session($schema) } 1 .. 3;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send("CALL procrastinate_migrate('0025')");
	cancelled_after($node, $database, $caller, $schema, '0025.1');
	$reader->query('COMMIT');

	$worker->query('BEGIN; SELECT id FROM procrastinate_fetch_job(NULL)');
	$caller->send("CALL procrastinate_migrate('0025', lock_timeout => '2 s', retry_for => '0')");
	my $waits =
	  "FROM pg_locks WHERE pid = $caller->{pid} AND NOT granted AND classid = $barrier AND"
	    . " waitstart IS NOT NULL";
	wait_until("SELECT count(*) = 1 $waits", 'the call waits for the barrier');
	kill 'STOP', $caller->{pid};
	wait_until("SELECT clock_timestamp() - waitstart > '3 s' $waits", 'its time is up');
	$worker->query('COMMIT');
	wait_until(
		"SELECT count(*) = 1 FROM pg_locks WHERE pid = $caller->{pid} AND granted AND classid ="
		  . " $barrier",
		'it has the barrier all the same');
	kill 'CONT', $caller->{pid};
	like(($caller->wait)[1], qr/^(?:|55P03: .*)$/, 'the call gives up, or goes on');
	is( $caller->query(
			q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()}
		),
		'0',
		'and holds no barrier');
	isnt($worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL', 'which is open');
	$_->close foreach $worker, $caller, $reader;
	return;
}

# Any role can take any advisory lock. Fetches ignore locks of roles without privileges on the
# table.
sub a_lock_of_another_role
{
	my $schema = filled_schema('locked_by_other', 24);
	my ($other, $caller, $worker) = map { session($schema) } 1 .. 3;
	$node->safe_psql($database, 'CREATE ROLE other LOGIN');
	$other->close;
	$other = do
	{
		local $ENV{PGUSER} = 'other';
		new_session($node, $database);
	};
	$other->query("SELECT pg_advisory_lock($barrier, @{[ schema_oid($schema) ]})");

	# Nor with privileges on another table of that name.
	$other->query(
		"CREATE TEMP TABLE procrastinate_jobs (); SELECT pg_advisory_lock($barrier,"
		  . " pg_my_temp_schema()::int)"
	);
	is( $caller->refusal(
			q{CALL procrastinate_migrate('0025', lock_timeout => '50 ms', retry_for => '200 ms')})
		  =~ s/:.*//sr,
		'55P03',
		'the call cannot close the barrier');
	isnt($worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL',
		'but fetches get jobs');
	$other->query('SELECT pg_advisory_unlock_all()');
	is($caller->refusal(q{CALL procrastinate_migrate('0025')}), 'no error',
		'once the lock is released it goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $other, $caller, $worker;
	return;
}

# Any role can take the lock of the installation, too. A call never waits for it with the barrier
# closed.
sub another_role_before_the_call
{
	my $schema = filled_schema('held', 24);
	my ($other, $reader, $caller, $worker) = map { session($schema) } 1 .. 4;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send("CALL procrastinate_migrate('0025')");
	cancelled_after($node, $database, $caller, $schema, '0025.1');

	# The call waits before it closes the barrier, and the other role behind it.
	my $lock = "($installation, @{[ schema_oid($schema) ]})";
	$reader->query("COMMIT; SELECT pg_advisory_lock$lock");
	$caller->send("CALL procrastinate_migrate('0025')");
	wait_until($caller->waits_for_lock, 'the call waits');
	$other->send("SELECT pg_advisory_lock$lock");
	wait_until($other->waits_for_lock, 'so does the other role');
	$reader->query("SELECT pg_advisory_unlock$lock");
	is(($other->wait)[1],
		'', 'another role takes the lock of the installation between two steps');
	wait_until($caller->waits_for_lock, 'the call waits for the other role');
	wait_until(
		"SELECT count(*) = 0 FROM pg_locks WHERE pid = $caller->{pid} AND classid = $barrier",
		'with the barrier open');
	isnt($worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL',
		'and fetches get jobs');
	$other->query('SELECT pg_advisory_unlock_all()');
	is(($caller->wait)[1], '', 'once the lock is released it goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $other, $reader, $caller, $worker;
	return;
}
