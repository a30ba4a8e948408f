# The registry of workers, from revision 0032 on: registration, heartbeats, stalled workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node = start_server();
walk_revisions($node, \&visit, first => 32);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my $before = called_before($session);
	registration($session);
	heartbeat($session);
	departure($session);
	stalled_workers($session);
	jobs_of_the_stalled($session, $revision);
	all_called($session, $before, 'workers', $revision);
	return;
}

# Workers with the given heartbeats, in seconds ago; ids 101, 102, ...
sub insert_workers
{
	my ($session, @seconds) = @_;
	my $id     = 100;
	my $values = join ', ', map { ++$id; "($id, now() - interval '$_ s')" } @seconds;
	$session->query('INSERT INTO procrastinate_workers (id, last_heartbeat)'
		  . " OVERRIDING SYSTEM VALUE VALUES $values");
	return;
}

sub ids
{
	my ($session) = @_;
	return $session->query(
		q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM procrastinate_workers});
}

sub registration
{
	my ($session) = @_;
	scenario($session, sub {
		is($session->query('SELECT count(*), count(worker_id)'
				  . ' FROM procrastinate_register_worker_v1()'),
			'1|1', 'registration returns one row with a worker_id');
		my $first  = $session->query('SELECT id FROM procrastinate_workers');
		my $second = $session->query('SELECT * FROM procrastinate_register_worker_v1()');
		isnt($second, $first, 'every registration adds a worker');
		is(ids($session), join(' ', sort { $a <=> $b } $first, $second),
			'the workers are in the table');
		is($session->query('SELECT bool_and(last_heartbeat = now()) FROM procrastinate_workers'),
			't', 'a worker is registered with a heartbeat');
	});
	return;
}

sub heartbeat
{
	my ($session) = @_;
	scenario($session, sub {
		insert_workers($session, 1000, 2000);
		$session->query('SELECT procrastinate_update_heartbeat_v1(101)');
		is($session->query('SELECT id, last_heartbeat BETWEEN now() AND clock_timestamp()'
				  . ' FROM procrastinate_workers ORDER BY id'),
			"101|t\n102|f", 'a heartbeat sets the time of that worker only');
		$session->query('SELECT procrastinate_update_heartbeat_v1(999)');
		$session->query('SELECT procrastinate_update_heartbeat_v1(NULL)');
		is(ids($session), '101 102',
			'a heartbeat of an unknown worker is no error and adds no worker');
	});
	return;
}

sub departure
{
	my ($session) = @_;
	scenario($session, sub {
		insert_workers($session, 0, 0);
		insert_jobs($session, $HEAD,
			{ id => 1, status => 'doing',     worker_id => 101, attempts => 1 },
			{ id => 2, status => 'succeeded', worker_id => 101 },
			{ id => 3, status => 'doing',     worker_id => 102 },
			{ id => 4 });
		my $events = $session->query('SELECT count(*) FROM procrastinate_events');
		$session->remember;
		$session->query('SELECT procrastinate_unregister_worker_v1(101)');
		is(ids($session), '102', 'a worker that unregisters is deleted');
		is_deeply({ $session->changes },
			{ 1 => 'worker_id=NULL', 2 => 'worker_id=NULL', 3 => '', 4 => '' },
			'its jobs lose their worker_id and do not change otherwise');
		is($session->query('SELECT count(*) FROM procrastinate_events'),
			$events, 'no event is written when a worker unregisters');
		$session->query('SELECT procrastinate_unregister_worker_v1(999)');
		$session->query('SELECT procrastinate_unregister_worker_v1(NULL)');
		is(ids($session), '102', 'an unknown worker that unregisters is no error');
	});
	return;
}

sub stalled_workers
{
	my ($session) = @_;
	my $prune = q{SELECT string_agg(worker_id::text, ' ' ORDER BY worker_id)}
	  . ' FROM procrastinate_prune_stalled_workers_v1(%s)';
	scenario($session, sub {
		insert_workers($session, 10, 1000, 86400, 31.5, -50);
		is($session->query(sprintf $prune, 100000), 'NULL', 'no worker is stalled for that long');
		is($session->query(sprintf $prune, 100), '102 103', 'stalled workers are returned');
		is(ids($session), '101 104 105', 'and are gone');
		is($session->query(sprintf $prune, 31.25), '104', 'seconds may have a fraction');
		is($session->query(sprintf $prune, 31.25), 'NULL', 'a worker is returned once');
		is($session->query(sprintf $prune, '5::double precision'), '101', 'seconds as a double');
		is(ids($session), '105', 'a worker whose clock is ahead stays');
		is($session->query('SELECT count(*) FROM procrastinate_prune_stalled_workers_v1(0)'),
			'0', 'no row is returned if no worker is stalled');
	});
	return;
}

# A worker that died: its job is told from those of the living, and can be put back.
sub jobs_of_the_stalled
{
	my ($session, $revision) = @_;
	my $fetch = sub {
		return 'SELECT id FROM '
		  . ($_[0] eq 'NULL' && $revision == 32 ? 'procrastinate_fetch_job_v1(NULL)'
			: newest_call('procrastinate_fetch_job', $revision, bigint => $_[0]));
	};
	scenario($session, sub {
		insert_jobs($session, $revision, { id => 1 }, { id => 2 }, { id => 3 });
		insert_workers($session, 5000, 5);
		$session->query($fetch->($_)) foreach 101, 102, 'NULL';
		is($session->query('SELECT j.id, j.worker_id FROM procrastinate_jobs j'
				  . ' JOIN procrastinate_workers w ON w.id = j.worker_id'
				  . q{ WHERE j.status = 'doing' AND w.last_heartbeat < now() - interval '1 min'}),
			'1|101', 'the job of a worker without heartbeat is found');
		$session->query('SELECT * FROM procrastinate_prune_stalled_workers_v1(60)');
		is($session->query('SELECT id, status, worker_id FROM procrastinate_jobs ORDER BY id'),
			"1|doing|NULL\n2|doing|102\n3|doing|NULL", 'the job of a pruned worker is still doing');
		my %values_of = (bigint => 1, 'timestamp with time zone' => 'now()');
		my $retry     = newest_call('procrastinate_retry_job', $revision, %values_of);
		$session->query("SELECT $retry");
		is($session->query($fetch->(102)), '1', 'another worker fetches the job');
	});
	return;
}
