# procrastinate_migrate() on a full disk: a limit on file sizes makes first tables and indexes, then
# the WAL fail. Completed steps stay, no row is missing, and the next call continues when there is
# room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;

my ($node, $database, $before);

no_room_for_tables();
no_room_for_wal();
done_testing();

# Starts a server with WAL segments of this many megabytes, and a queue with this many jobs.
sub start_queue
{
	my ($segment, $revision, $jobs) = @_;
	$node = start_server(
		init => [ extra => [ '--encoding=UTF8', '--locale=C', "--wal-segsize=$segment" ] ],
		conf => "work_mem = 256MB\nmin_wal_size = @{[ 2 * $segment ]}MB\nrestart_after_crash = off"
	);
	$database = new_database($node);
	upgrade($node, $database, $revision);
	my $session = new_session($node, $database);
	insert_many($session, $jobs);
	$session->query(
		q{INSERT INTO procrastinate_events (job_id, type, at) SELECT id, 'started', now() FROM}
		  . q{ procrastinate_jobs}
	);
	$before = $session->query($ALL_ROWS);
	$session->close;
	return;
}

# Limits the file size of all server processes, also of later ones, to this many bytes, or
# 'unlimited'.
sub limit_files
{
	my ($limit)      = @_;
	my ($postmaster) = slurp(postmaster_file()) =~ /^(\d+)/;
	my $others       = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE backend_type <> 'client backend'});
	foreach my $pid ($postmaster, split /\n/, $others)
	{
		system('prlimit', '--pid', $pid, "--fsize=$limit:") == 0 || !-d "/proc/$pid"
		  or die "no limit for process $pid";
	}
	return;
}

sub postmaster_file { return $node->data_dir . '/postmaster.pid' }

# Returns the error of a call to the target.
sub complaint_of_call
{
	my ($target) = @_;
	my $call = start_psql($node, $database, ["CALL procrastinate_migrate('$target')"]);
	$call->{run}->finish;
	return join '', grep { !/^NOTICE:/ } split /^/, $call->{err};
}

sub is_whole
{
	my ($label) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($node->safe_psql($database, $ALL_ROWS), $before, "$label: no row is lost or changed");
	is_as_recorded($node, $database, 'public', $label);

	# Removes dead rows, as autovacuum does.
	$node->safe_psql($database, 'VACUUM procrastinate_events');
	return;
}

sub is_there
{
	my ($revision) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	limit_files('unlimited');
	is_at($node, $database, 'public', $revision, 'with more room the schema gets there');
	is($node->safe_psql($database, 'SELECT count(*) FROM procrastinate_check(\'current\')'), '0',
		'and nothing is to be found fault with');
	is( $node->safe_psql(
			$database,
			q{SELECT count(*) - count(DISTINCT event) FROM procrastinate_log() WHERE event ~ '^step}
			  . q{ .*\.[0-9]+$'}
		),
		'0',
		'no step was done twice');
	my $session = new_session($node, $database);
	is(day($session, $revision), $revision < 27 ? 'succeeded todo' : 'succeeded todo cancelled',
		'workers can work');
	$session->close;
	return;
}

# The limit rises with each call.
sub no_room_for_tables
{
	start_queue(1, 6, 60_000);
	my %failed = (batches => 0, builds => 0);
	for (my $limit = 1_100_000; $limit < 50_000_000; $limit = int 1.2 * $limit)
	{
		limit_files($limit);
		my $complaint = complaint_of_call('head');
		last if $complaint eq '';
		$failed{builds}++
		  if $complaint =~ /^CONTEXT:  migration 00(?:07|08) .*, step \d \(build the /m;
		$failed{batches}++ if $complaint =~ /, step 2 \(fill the column\)/;
		like(
			$complaint,
			qr/^ERROR:\ \ .*(?:File\ too\ large|wrote\ only\ \d+\ of\ 8192\ bytes).*\nHINT:
				\ \ Check\ free\ disk\ space\.$/mx,
			"$limit bytes are too few");
		is_whole("$limit bytes");
	}
	cmp_ok($failed{builds},  '>', 0, 'there was no room for an index');
	cmp_ok($failed{batches}, '>', 0, 'there was none for rows');
	is_there($HEAD);
	$node->stop;
	return;
}

# What a file of WAL holds beyond the limit cannot be written.
sub no_room_for_wal
{
	my $jobs = 30_000;
	start_queue(8, 23, $jobs);

	# Where the column is there yet.
	my $filled_rows =
	  q{SELECT count(*) FROM procrastinate_events AS e WHERE to_jsonb(e) ->> 'job_id_bigint' IS NOT}
	    . q{ NULL};
	my ($ends, $in_the_midst) = (0, 0);
	while ($ends < 20)
	{
		$node->safe_psql($database, 'SELECT pg_switch_wal()');
		limit_files(7_500_000);
		my $log       = -s $node->logfile;
		my $complaint = complaint_of_call('0024');
		last if $complaint eq '';
		$ends++;
		like($complaint, qr/connection to server was lost/, "end $ends: the server has gone")
		  or last;
		like(slurp_file($node->logfile, $log),
			qr/PANIC:  could not write to (?:log )?file .*: File too large$/m,
			'for want of room for WAL');
		$node->wait_for_log(
			qr/database system is shut down|shutting down because "?restart_after_crash"? is off/,
			$log);
		usleep(10_000) while -e postmaster_file();
		$node->_update_pid(0);
		$node->start;
		my $filled = $node->safe_psql($database, $filled_rows);
		$in_the_midst++ if $filled > 0 && $filled < $jobs;
		is_whole("end $ends");
	}
	cmp_ok($in_the_midst, '>', 0, 'the server has ended in the midst of the batches');
	is_there(24);
	$node->stop;
	return;
}
