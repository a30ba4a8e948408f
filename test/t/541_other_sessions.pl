# procrastinate_migrate() beside other sessions: autovacuum of the table, clients at SERIALIZABLE,
# workers, limits of the calling session, a lost connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node     = start_server(conf => "max_connections = 30\nautovacuum_naptime = 1s");
my $database = new_database($node);
use_database($node, $database);

autovacuum();
statement_timeout();
serializable();
a_serializable_worker();
workers_beside_one_who_waits();
ticks_of_one_moment();
batches_are_told();
a_lost_connection();
one_who_waits_for_the_schema();
done_testing();

# Steps use a short deadlock_timeout, which ends the autovacuum.
sub autovacuum
{
	my $session = queue('vacuumed', 23, 5000);
	$session->query(<<'SQL');
ALTER TABLE procrastinate_events SET (autovacuum_vacuum_threshold = 0,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
UPDATE procrastinate_events SET at = now();
SQL
	$node->append_conf('postgresql.conf', 'autovacuum = on');
	$node->reload;
	my $vacuum =
	  q{SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid =}
	    . q{ 'vacuumed.procrastinate_events'::regclass};
	wait_until(qq{SELECT ($vacuum) = 1}, 'an autovacuum is at the events');
	my $log = -s $node->logfile;
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'an autovacuum does not stop it');
	ok($node->log_contains('canceling autovacuum task', $log), 'but is stopped');
	$node->append_conf('postgresql.conf', 'autovacuum = off');
	$node->reload;
	is_at($node, $database, 'vacuumed', 24, 'the schema is at 0024');
	$session->close;
	return;
}

sub statement_timeout
{
	my $session = queue('timed', 23, 10);
	my $reader  = session('timed');
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$session->query(q{SET statement_timeout = '2s'});
	is( $session->refusal(q{CALL procrastinate_migrate('0024')}),
		'57014: canceling statement due to statement timeout',
		'statement_timeout is for the whole call');
	wait_until(
		q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'procrastinate_migrate'},
		'the worker has gone');
	is_as_recorded($node, $database, 'timed', 'and what was done stays done');
	$reader->query('COMMIT');
	$session->query('RESET statement_timeout');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'the next call goes on');
	is_at($node, $database, 'timed', 24, 'to 0024');
	$_->close foreach $session, $reader;
	return;
}

# Clients at SERIALIZABLE fail with serialization errors and try again. The calling session must be
# at READ COMMITTED.
sub serializable
{
	foreach my $path ([ 6, 22, '0.8' ], [ 22, 30, '0.23' ], [ 30, 32, '3.0' ])
	{
		my ($from, $to, $release) = @$path;
		my $there = new_database($node);
		upgrade($node, $there, $from);
		$node->safe_psql($there,
			"ALTER DATABASE $there SET default_transaction_isolation = serializable");
		my $load =
		  start_load($node, $there, [ release_scripts($release) ], qw(-c 4 -R 300 --max-tries=0));
		$node->poll_query_until($there, 'SELECT count(*) > 20 FROM procrastinate_events')
		  or die 'no client works';
		my $call = 'CALL procrastinate_migrate(' . lit(revision_name($to)) . ')';
		my (undef, undef, $refused) = $node->psql($there, $call);
		like($refused,
			qr/ERROR:  a migration cannot run at isolation level repeatable read or serializable/,
			"$release: the caller is told so");
		my ($status, undef, $said) =
		  $node->psql($there, "SET default_transaction_isolation = 'read committed';\n$call");
		is($status, 0, "$release: the call gets to its end beside clients at SERIALIZABLE")
		  or diag($said);
		is(stop_load($load), '',
			"$release: no client sees an error but those that are tried again");
		is(deadlocks($node, $there), '0', "$release: of which none is a deadlock");
		is_at($node, $there, 'public', $to, "$release: the catalog is as it should be");
	}
	return;
}

# The background worker has the database's settings, and is at READ COMMITTED all the same.
sub a_serializable_worker
{
	my $there = new_database($node);
	new_queue($node, $there, 'serial', 19, 10)->close;
	$node->safe_psql($there,
		"ALTER DATABASE $there SET default_transaction_isolation = serializable");
	my ($reader, $caller) = map { user_session($node, $there, 'serial') } 1 .. 2;
	$reader->query('BEGIN; SELECT count(*) FROM pg_class');
	$caller->query(q{SET default_transaction_isolation = 'read committed'});
	$caller->send(q{CALL procrastinate_migrate('0020')});
	wait_for_build($node, $there);
	is( $node->safe_psql(
			$there,
			q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE backend_type =}
			  . q{ 'procrastinate_migrate' AND mode = 'SIReadLock'}
		),
		'0',
		'what it reads is in no serializable transaction');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'the call comes to its end');
	is_at($node, $there, 'serial', 20, 'at 0020');
	$_->close foreach $reader, $caller;
	return;
}

# A long reader blocks a step, and no other session queues behind the step.
sub workers_beside_one_who_waits
{
	my $there = new_database($node);
	upgrade($node, $there, 24);
	my ($reader, $caller) = map { new_session($node, $there) } 1 .. 2;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0025')});
	wait_for_step($node, $there, 'public', '0025.1');
	my $load = start_load($node, $there, [ release_scripts('0.23') ], qw(-c 3 -R 200));
	wait_for($node, $there,
		q{SELECT count(*) > 500 FROM procrastinate_events WHERE type = 'succeeded'},
		'workers have done a lot');
	is($node->safe_psql($there, "SELECT state FROM pg_stat_activity WHERE pid = $caller->{pid}"),
		'active', 'while a call waits for a reader, workers work');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'once the reader has gone it comes to its end');
	is(stop_load($load),   '', 'and no client has seen an error');
	is_at($node, $there, 'public', 25, 'at 0025');
	$_->close foreach $reader, $caller;
	return;
}

# All workers defer the same tick at once, also during the build of a unique index: one job is
# deferred.
sub ticks_of_one_moment
{
	# 0012 drops the old function: later calls fail, and running calls leave out the new column.
	my $gone =
	  qr/function\ procrastinate_defer_periodic_job\(.*\)\ does\ not\ exist|null\ value\ in
		\ column\ "queue_name"|Run\ was\ aborted/x;
	foreach my $path ([ 11, q{'q', 'task'}, $gone ], [ 20, q{'q', NULL, NULL, 'task'}, qr/(?!)/ ])
	{
		my ($from, $arguments, $expected) = @$path;
		my $there = new_database($node);
		upgrade($node, $there, $from);
		my $script = PostgreSQL::Test::Utils::tempdir() . "/tick_$from.sql";
		append_to_file($script,
			"SELECT procrastinate_defer_periodic_job($arguments, (extract(epoch FROM"
			  . " clock_timestamp()) * 500)::bigint);\n"
		);

		# The last phase of a build waits for older snapshots.
		my $reader = new_session($node, $there);
		$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
		my $load   = start_load($node, $there, [$script], qw(-c 4));
		my $caller = new_session($node, $there);
		$caller->send("CALL procrastinate_migrate('" . revision_name($from + 1) . "')");
		wait_for($node, $there,
			q{SELECT phase ~ 'old snapshots' FROM pg_stat_progress_create_index},
			'the build comes to its last part');
		my $ticks = $node->safe_psql($there, 'SELECT count(*) FROM procrastinate_jobs');
		wait_for($node, $there, "SELECT count(*) > $ticks + 500 FROM procrastinate_jobs",
			'ticks are deferred');
		$reader->query('COMMIT');
		is(($caller->wait)[1], '', "$from: the call comes to its end");
		is(join('', grep { !/$expected/ } split /^/, stop_load($load)), '',
			'and no session that defers a tick gets an error');
		is_at($node, $there, 'public', $from + 1, 'the catalog is as it should be');
		is($node->safe_psql($there, q{SELECT count(*) FROM procrastinate_check('current')}), '0',
			'the functions, too');
		$_->close foreach $reader, $caller;
	}
	return;
}

# The caller gets NOTICEs about long steps.
sub batches_are_told
{
	queue('told', 23, 15_000)->close;
	my $began = time;
	my ($status, undef, $told) = $node->psql(
		$database,
		q{SET procrastinate_migrate.max_wal_rate = '500kB'; CALL procrastinate_migrate('0024',}
		  . q{ schema => 'told')}
	);
	is($status, 0, 'a call gets to its end');
	my $lines = () = $told =~ /NOTICE:  step 0024\.2: \d+%, \d+ rows changed$/mg;
	cmp_ok($lines, '>',  0,                 'and shows the progress of its batches');
	cmp_ok($lines, '<=', time - $began + 1, 'but no more than once a second');
	return;
}

# The client dies without closing its connection.
sub a_lost_connection
{
	my $session = queue('lost', 23, 10);
	my ($reader, $caller) = map { session('lost') } 1 .. 2;
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$caller->query('SET client_min_messages = notice');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_for_build($node, $database);
	$caller->{run}->kill_kill;
	wait_until(
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $caller->{pid} OR backend_type ="
		  . " 'procrastinate_migrate'",
		'the server notices when it has something to tell, and ends the worker, too');
	is_as_recorded($node, $database, 'lost', 'what was done stays done');
	$reader->query('COMMIT');
	is($session->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'the next call goes on');
	is_at($node, $database, 'lost', 24, 'to 0024');
	$_->close foreach $session, $reader;
	return;
}

# A DROP SCHEMA that waits, also of a role that may not drop it, keeps the schema's name in use.
sub one_who_waits_for_the_schema
{
	my $session = queue('dropped', 26, 3);
	run_sql('CREATE ROLE dropper LOGIN; GRANT CREATE, USAGE ON SCHEMA dropped TO dropper');
	my ($first, $second) = map { session('dropped') } 1 .. 2;
	$first->query('SET ROLE dropper; BEGIN; CREATE TABLE own (id int)');
	$second->query('SET ROLE dropper');
	$second->send('DROP SCHEMA dropped');
	wait_until(
		q{SELECT count(*) = 1 FROM pg_locks}
		  . q{ WHERE classid = 'pg_namespace'::regclass AND NOT granted},
		'DROP SCHEMA waits');
	my (undef, undef, $err) = $node->psql($database,
		q{CALL procrastinate_migrate('0027', schema => 'dropped', retry_for => '0.5 s')});
	like(
		$err,
		qr/Session \d+ of role \w+.*: AccessExclusiveLock on the schema; DROP SCHEMA dropped/,
		'the error names a session that waits for the schema');
	$first->query('ROLLBACK');
	my (undef, $error) = $second->wait;
	like($error, qr/must be owner of schema/, 'which may not drop it');
	is($session->refusal(q{CALL procrastinate_migrate('0027')}), 'no error', 'then it goes on');
	$_->close foreach $first, $second, $session;
	return;
}
