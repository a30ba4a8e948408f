# Locks of the fetch barrier that other sessions hold: of fetches that run, of other roles, and at
# the moment of a timeout.

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

fetches_of_two_kinds();
closed_as_time_is_up();
other_roles();
another_session_before_the_call();
done_testing();

# An old fetch function that is running at 0008 holds a lock that the table does not show yet; the
# new function would take the same lock.
sub fetches_of_two_kinds
{
	my ($schema, $holder, $caller, $old, $new);
	eventually(
		sub {
			$schema = filled_schema("two_kinds_$_[0]", 7);
			($holder, $caller, $old, $new) = map { session($schema) } 1 .. 4;
			$holder->query(
				q{UPDATE procrastinate_jobs SET status = 'succeeded'; INSERT INTO}
				  . q{ procrastinate_jobs (queue_name, task_name, lock)}
				  . q{ VALUES ('first', 'task', 'a lock'), ('second', 'task', 'a lock')});

			# Index builds wait for older transactions, so the fetch begins after them. An idle
			# transaction keeps the call waiting between the step that installs the barrier and the
			# next.
			$old->query('BEGIN');
			$caller->send(
				q{CALL procrastinate_migrate('0008', lock_timeout => '50 ms', retry_for => '0')});
			wait_until(
				"SELECT to_regclass('$schema.procrastinate_fetch_barrier') IS NOT NULL"
				  . " OR EXISTS (SELECT FROM procrastinate_log('$schema') WHERE to_revision ="
				  . q{ '0008')},
				'the barrier is installed');
			$holder->refusal('BEGIN; LOCK TABLE procrastinate_fetch_barrier IN ACCESS SHARE MODE');
			my (undef, $error) = $caller->wait;
			$_->query('ROLLBACK') foreach $holder, $old;
			return $error =~ /^55P03: /;
		},
		'the barrier cannot be closed');
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
	my $locks =
	  "FROM pg_locks WHERE pid = $caller->{pid} AND mode = 'AccessExclusiveLock'"
	  . " AND relation = '$schema.procrastinate_fetch_barrier'::regclass";
	wait_until("SELECT count(*) = 1 $locks AND NOT granted AND waitstart IS NOT NULL",
		'the call waits for the barrier');
	kill 'STOP', $caller->{pid};
	wait_until("SELECT clock_timestamp() - waitstart > '3 s' $locks", 'its time is up');
	$worker->query('COMMIT');
	wait_until("SELECT count(*) = 1 $locks AND granted", 'it has the barrier all the same');
	kill 'CONT', $caller->{pid};
	like(($caller->wait)[1], qr/^(?:|55P03: .*)$/, 'the call gives up, or goes on');
	is( $caller->query(
			q{SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()}
			  . q{ AND (locktype = 'advisory' OR mode = 'AccessExclusiveLock')}),
		'0',
		'and holds no barrier');
	isnt($worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL', 'which is open');
	$_->close foreach $worker, $caller, $reader;
	return;
}

# Only roles that may change jobs can keep the barrier from being closed, and only the owner can
# close it.
sub other_roles
{
	my $schema = filled_schema('locked_by_other', 24);
	my ($reader, $caller) = map { session($schema) } 1 .. 2;
	$node->safe_psql($database, <<"SQL");
CREATE ROLE other LOGIN;
CREATE ROLE worker LOGIN;
CREATE ROLE late LOGIN;
GRANT USAGE ON SCHEMA $schema TO other, worker, late;
GRANT SELECT, UPDATE (status) ON $schema.procrastinate_jobs TO worker;
GRANT INSERT ON $schema.procrastinate_events TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA $schema TO worker, late;
GRANT SELECT ON ALL TABLES IN SCHEMA $schema TO other;
SQL
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	is( $caller->refusal(
			q{CALL procrastinate_migrate('0025', lock_timeout => '50 ms', retry_for => '0')}) =~
		  s/:.*//sr,
		'55P03',
		'the barrier is installed');
	my %session;
	foreach my $role (qw(other worker late))
	{
		local $ENV{PGUSER} = $role;
		$session{$role} = user_session($node, $database, $schema);
	}
	my $lock = 'LOCK TABLE procrastinate_fetch_barrier IN %s MODE';
	is($session{other}->refusal('BEGIN; ' . sprintf $lock, 'ACCESS SHARE') =~ s/:.*//sr,
		'42501', 'a role that may only read cannot lock the barrier');
	is($session{worker}->refusal('BEGIN; ' . sprintf $lock, 'ROW SHARE') =~ s/:.*//sr,
		'42501', 'a worker cannot lock it more strongly than a fetch does');
	$_->query('ROLLBACK') foreach values %session;
	isnt($session{worker}->query('SELECT id FROM procrastinate_fetch_job(NULL)'),
		'NULL', 'a worker with column privileges gets a job');
	$node->safe_psql($database, <<"SQL");
GRANT SELECT, UPDATE (status) ON $schema.procrastinate_jobs TO late;
GRANT INSERT ON $schema.procrastinate_events TO late;
SQL
	isnt($session{late}->query('SELECT id FROM procrastinate_fetch_job(NULL)'),
		'NULL', 'so does a role that has been granted its privileges since');
	$reader->query('COMMIT');
	is($caller->refusal(q{CALL procrastinate_migrate('0025')}), 'no error', 'the call goes on');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $reader, $caller, values %session;
	return;
}

# A call never waits for the installation with the barrier closed.
sub another_session_before_the_call
{
	my $schema = filled_schema('held', 24);
	my ($other, $reader, $caller, $worker) = map { session($schema) } 1 .. 4;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send("CALL procrastinate_migrate('0025')");
	cancelled_after($node, $database, $caller, $schema, '0025.1');
	$reader->query('COMMIT');
	$other->query('BEGIN; LOCK TABLE procrastinate_schema_history IN SHARE ROW EXCLUSIVE MODE');
	$caller->send("CALL procrastinate_migrate('0025')");
	wait_until($caller->waits_for_lock, 'the call waits for another session');
	is( $worker->query(
			"SELECT count(*) FROM pg_locks WHERE pid = $caller->{pid} AND relation ="
			  . q{ 'procrastinate_fetch_barrier'::regclass}
		),
		'0',
		'with the barrier open');
	isnt($worker->query('SELECT id FROM procrastinate_fetch_job(NULL)'), 'NULL',
		'and fetches get jobs');
	$other->query('COMMIT');
	is(($caller->wait)[1], '', 'it goes on once the lock is released');
	is_at($node, $database, $schema, 25, 'to 0025');
	$_->close foreach $other, $reader, $caller, $worker;
	return;
}
