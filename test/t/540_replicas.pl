# procrastinate_migrate() and replicas: one that lags, one that does not catch up, a reader on a
# replica, a failover.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;

my $node = start_server(
	name => 'primary',
	init => [ allows_streaming => 1 ],
	conf => <<'CONF');
max_connections = 30
autovacuum_naptime = 1s
hot_standby_feedback = on
wal_receiver_status_interval = 1s
max_standby_streaming_delay = -1
wal_sender_timeout = 0
CONF
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $database = new_database($node);
use_database($node, $database);

a_replica_that_lags();
a_replica_that_catches_up();
a_reader_of_a_replica();
failover();
done_testing();

# Starts a psql on the replica.
sub on_replica
{
	my ($sql) = @_;
	return start_psql($standby, $database, [$sql]);
}

sub catch_up
{
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	return;
}

# max_replication_lag, and procrastinate_wait() on the replica.
sub a_replica_that_lags
{
	my $session = queue('lagging', 23, 3000);
	my $caller  = session('lagging');
	catch_up();
	my $gate = on_replica(q{CALL procrastinate_wait('0024', schema => 'lagging')});
	wait_until(
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL procrastinate_wait' AND}
		  . q{ wait_event = 'Extension'},
		'the gate waits', $standby);
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	$caller->query('SET procrastinate_migrate.max_replication_lag = 0');
	$caller->send(q{CALL procrastinate_migrate('0024')});
	wait_until(
		$caller->pauses
		  . q{ AND EXISTS (SELECT FROM lagging.procrastinate_events WHERE job_id_bigint IS NOT}
		    . q{ NULL)},
		'it pauses after a batch');
	my $filled = $session->query('SELECT count(job_id_bigint) FROM procrastinate_events');
	cmp_ok($filled, '<', 3000, 'a replica that does not apply holds the batches up');
	my $unlimited = queue('unlimited', 23, 3000);
	$unlimited->query(
		'SET procrastinate_migrate.max_wal_rate = 0; SET procrastinate_migrate.max_replication_lag'
		  . ' = -1'
	);
	is($unlimited->refusal(q{CALL procrastinate_migrate('0024')}), 'no error',
		'unless force is true');
	is($session->query('SELECT count(job_id_bigint) FROM procrastinate_events'), $filled,
		'as the others still do');
	$unlimited->close;
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	is(($caller->wait)[1], '', 'once it does they go on');
	is_at($node, $database, 'lagging', 24, 'to 0024');
	$gate->{run}->finish;
	is($gate->{err}, '', 'procrastinate_wait() on the replica sees the revision there');
	$_->close foreach $session, $caller;
	return;
}

# A replica that reconnects and does not catch up: a client of the replication protocol that reports
# its position once and then reads no more.
sub a_replica_that_catches_up
{
	my $session = queue('catching_up', 23, 3000);
	my $from    = $node->lsn('flush');
	$session->query(
		q{SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000)) FROM}
		  . q{ generate_series(1, 16)}
	);
	my ($in, $out, $err) = ('', '', '');
	my $replica = IPC::Run::start(
		[   '/usr/bin/python3', '-c',
			<<"PYTHON", $node->connstr('postgres') . ' application_name=behind', $from ],
import sys
from psycopg2.extras import PhysicalReplicationConnection
cursor = PhysicalReplicationConnection(sys.argv[1]).cursor()
cursor.start_replication(start_lsn=sys.argv[2])
high, low = (int(part, 16) for part in sys.argv[2].split("/"))
cursor.send_feedback(*[(high << 32) + low] * 3, force=True)
sys.stdin.read()
PYTHON
		'<', \$in, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	wait_until(
		q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'behind' AND state}
		  . q{ = 'catchup' AND replay_lsn IS NOT NULL},
		'the replica catches up');
	my $caller = session('catching_up');
	$caller->query(
		q{SET client_min_messages = notice; SET procrastinate_migrate.max_replication_lag = '8MB'});
	$caller->send(q{CALL procrastinate_migrate('0024')});
	my $sender =
	  $session->query(q{SELECT pid FROM pg_stat_replication WHERE application_name = 'behind'});
	is( $caller->notice(qr/replica/),
		qq{step 0024.2: waiting for the replica of walsender $sender, which is behind by more than}
		  . qq{ procrastinate_migrate.max_replication_lag},
		'a NOTICE says what the batches wait for');
	my %seen;
	$seen{
		$session->query(
			q{SELECT revision, step, pid, waiting_for FROM procrastinate_progress WHERE schema =}
			  . q{ 'catching_up'::regnamespace}
		) }++
	  foreach 1 .. 20;
	is(join('; ', keys %seen), "0024|2|$caller->{pid}|{$sender}", 'and so is who looks on');
	cmp_ok($session->query('SELECT count(job_id_bigint) FROM procrastinate_events'), '<', 3000,
		'a replica that catches up holds them up');
	$in = '';
	$replica->finish;
	is($err,               '', 'then it is gone');
	is(($caller->wait)[1], '', 'and they go on');
	is_at($node, $database, 'catching_up', 24, 'to 0024');
	$_->close foreach $session, $caller;
	return;
}

# The snapshot of a reader on the replica keeps old rows on the primary, but no lock.
sub a_reader_of_a_replica
{
	my $session = queue('fed_back', 6, 100);
	catch_up();
	my $reader = on_replica(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class; SELECT pg_sleep(600)'
	);
	wait_until(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'},
		'it has a snapshot', $standby);
	$session->query("SELECT pg_current_xact_id()") foreach 1 .. 20;
	my $now = $session->query('SELECT clock_timestamp()');
	wait_until("SELECT reply_time > '$now' AND age(backend_xmin) >= 20 FROM pg_stat_replication",
		'the replica feeds back');
	is($session->refusal('CALL procrastinate_migrate()'), 'no error',
		'a reader on a replica holds nothing up');
	is_at($node, $database, 'fed_back', $HEAD, 'on the way to head');
	cmp_ok($node->safe_psql('postgres', 'SELECT age(backend_xmin) FROM pg_stat_replication'), '>=',
		20 + $HEAD - 6, 'which was there all the time');
	$standby->safe_psql('postgres',
		q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'pg_sleep.600' AND}
		  . q{ pid <> pg_backend_pid()}
	);
	$reader->{run}->finish;
	catch_up();
	is_at($standby, $database, 'fed_back', $HEAD, 'where the replica gets, too');
	$session->close;
	return;
}

# The primary fails during a migration, and the next call runs on the promoted replica.
sub failover
{
	my $session = queue('failing_over', 23, 3000);
	my $rows =
	  'SELECT count(*) || md5(string_agg(concat_ws(\'/\', id, job_id, type, at), \' \' ORDER BY'
	    . ' id)) FROM procrastinate_events';
	my $before = $session->query($rows);
	my $reader = session('failing_over');
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$session->send(q{CALL procrastinate_migrate()});
	wait_for_build($node, $database);
	catch_up();
	$node->stop('immediate');
	eval { $_->close } foreach $session, $reader;
	$standby->promote;
	is( $standby->safe_psql($database, q{SELECT source FROM procrastinate_current('failing_over')}),
		'0024: 4 of 9 done',
		'after a failover the migration is under way on the new primary');
	is_as_recorded($standby, $database, 'failing_over', 'where the schema is as recorded');
	my $other = user_session($standby, $database, 'failing_over');
	is($other->refusal('CALL procrastinate_migrate()'), 'no error', 'the next call goes on there');
	is_at($standby, $database, 'failing_over', $HEAD, 'to head');
	is($other->query($rows), $before, 'and no event is lost');
	$other->close;
	return;
}
