# Ends procrastinate_migrate() at every fault point of a library built with
# PROCRASTINATE_FAULT_POINTS: before, in and after each step, and at more points of some kinds of
# steps.

package Procrastinate::Test::Faults;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use List::Util qw(sum);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;

our @EXPORT = qw(walk_all);

# How the process at a fault point is ended, and the error that the caller then gets.
my %ways = (
	terminate => {
		strike =>
		  sub { my ($watcher, $pid) = @_; $watcher->query("SELECT pg_terminate_backend($pid)") },
		complaint => qr/FATAL:  terminating connection due to administrator command/,
		of_worker => qr/ERROR:  the background worker that built an index was ended/,
	},
	kill => {
		strike    => sub { kill 'KILL', $_[1] },
		complaint => qr/server closed the connection unexpectedly/,
		of_worker =>
		  qr/terminating connection because of crash|server closed the connection unexpectedly/,
	});

my ($node, $database, $how, $target, $concurrently, $watcher);
my $schema = 'walked';

# walk_all('terminate'), walk_all('kill')
sub walk_all
{
	($how) = @_;
	$node = start_server(conf => "synchronous_commit = on\nrestart_after_crash = on");
	my $points   = walk(1, $HEAD);
	my $barriers = () =
	  map { slurp($_) =~ /^-- step \w+, barrier:/mg }
	  glob repository() . '/src/migrations/online/*.sql';
	cmp_ok($barriers, '>=', 6, 'the steps up to 0038 close the fetch barrier six times');
	is( join(' ', map { $points->{$_} // 0 } qw(closed held)),
		"$barriers $barriers", 'each barrier was closed when the call was ended');
	my @builds = map { walk(@$_)->{'worker builds'} // 0 }[ 19, 20 ], [ 28, 29 ],
	  [ 28, 29, 'false' ];
	is("@builds", '1 2 0',
		'what is built ahead on a longer way is built by 0020 and 0029, or by no worker');
	return;
}

# Upgrades from one revision to another, with an end at every point. Returns how often each kind of
# point was reached.
sub walk
{
	my ($from, $to, $whether_concurrently) = @_;
	$target       = revision_name($to);
	$concurrently = $whether_concurrently // 'true';
	my $path = revision_name($from) . ":$target";
	$database = new_database($node);
	upgrade($node, $database, $from, $schema);
	$watcher = user_session($node, $database, $schema);
	insert_many($watcher, 6000);
	my $before = $watcher->query($ALL_ROWS);
	my (%points, $aborting);

	while (my ($step, $kind, $barrier, $built, $lock) = next_step())
	{
		if ($step eq '0030.1')
		{
			# Rows for the batches of later steps.
			$watcher->query(
				q{UPDATE procrastinate_jobs SET status = 'aborting' WHERE status = 'doing' AND id %}
				  . q{ 3 = 0}
			);
			$before = $watcher->query($ALL_ROWS);
			$aborting =
			  $watcher->query(q{SELECT count(*) FROM procrastinate_jobs WHERE status = 'aborting'});
		}
		foreach my $point (points_of($step, $kind, $barrier, $built))
		{
			strike($step, $point, $kind, $lock);
			$points{$point}++;
			is($watcher->query($ALL_ROWS), $before, "$step, $point: no row is lost or changed");
		}
		isnt((next_step())[0] // '', $step, "$step is done, and is not done again");
	}
	cmp_ok(sum(values %points), '>', 3 * ($to - $from), "$path: points were reached");
	is_at($node, $database, $schema, $to, "$path: in spite of all the schema gets there");
	if (defined $aborting)
	{
		cmp_ok($aborting, '>', 100, "$path: jobs were being aborted");
		is($watcher->query('SELECT count(*) FROM procrastinate_jobs WHERE abort_requested'),
			$aborting, 'and still are');
	}
	is($watcher->query('SELECT count(*) FROM procrastinate_check()'), '0',
		"$path: nothing is to be found fault with");
	is( $watcher->query(
			q{SELECT count(*) || ' ' || count(DISTINCT to_revision) FROM procrastinate_log() WHERE}
			  . q{ event !~ '^step '}
		),
		"$to $to",
		"$path: the history has each revision once");
	is( $watcher->query(
			q{SELECT count(*) - count(DISTINCT event) FROM procrastinate_log() WHERE event ~ '^step}
			  . q{ .*\.[0-9]+$'}
		),
		'0',
		"$path: and each step once");
	$watcher->close;
	return \%points;
}

# Returns name, kind, true if it closes the fetch barrier (then the steps around it install and
# remove the barrier), true if its index has been built ahead, and its locks.
sub next_step
{
	my $step = $watcher->query(<<"SQL");
SELECT revision || '.' || step || '|' || kind || '|'
       || (NOT is_of_barrier AND count(*) FILTER (WHERE is_of_barrier)
           OVER (PARTITION BY revision) % 2 = 1) || '|'
       || (to_regclass(substring(statement FROM 'CONCURRENTLY ([a-z_0-9]+)')) IS NOT NULL)
       || '|' || coalesce(lock, '')
  FROM (SELECT *, statement ~ '^-- CREATE OR REPLACE FUNCTION' AS is_of_barrier
          FROM procrastinate_plan_details('$target')) AS plan
 LIMIT 1
SQL
	return split /\|/, $step, -1;
}

sub points_of
{
	my ($step, $kind, $barrier, $built) = @_;
	return (
		'before',
		('closed') x  ($barrier eq 'true'),
		('batch') x    ($kind eq 'batched'),
		('recorded') x ($kind eq 'concurrent' && $step =~ /\.1$/),
		('worker begins', 'worker builds', 'worker ends') x
		  ($kind eq 'concurrent' && $built ne 'true' && $concurrently eq 'true'),
		'in',
		$barrier eq 'true' ? 'held' : 'after');    # with either it is done
}

# Starts a call, ends it at the point, and asserts the state that is left.
sub strike
{
	my ($step, $point, $kind, $lock) = @_;
	my $is_worker = $point =~ /^worker/;
	my $name      = $is_worker ? $point : "$point $step";
	my $there     = "application_name = '$name'";
	my $reader;
	if ($point eq 'worker builds')
	{
		# There are no fault points in the server's code: an index build is stopped by a reader with
		# an older snapshot.
		$reader = user_session($node, $database, $schema);
		$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
		$there = q{backend_type = 'procrastinate_migrate' AND wait_event = 'virtualxid'};
	}
	my $recorded = $watcher->query('SELECT count(*) FROM procrastinate_log()');

	# A worker has the settings of its database.
	$node->safe_psql($database,
		"ALTER DATABASE $database SET procrastinate_migrate.fault_point = '$name'");
	my ($out, $err) = ('', '');
	my $caller = IPC::Run::start(
		[   $node->installed_command('psql'), qw(-XAtq -d), $node->connstr($database),
			'-c',
			"CALL procrastinate_migrate('$target', '$schema', force => true, concurrently =>"
			  . " $concurrently)"
		],
		'>',
		\$out,
		'2>',
		\$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my $pid;
	until ($pid = $watcher->query("SELECT pid FROM pg_stat_activity WHERE $there"))
	{
		if (!$caller->pumpable)
		{
			$caller->finish;
			die "the call did not come to '$name': $err";
		}
		$caller->pump_nb;
		usleep(2000);
	}

	# The background worker holds the locks of a build. Without a worker the build is not
	# concurrent.
	my $is_built = $kind eq 'concurrent' && $concurrently eq 'true';
	$lock =~ s/UPDATE EXCLUSIVE // if $kind eq 'concurrent' && !$is_built;
	locks_as_planned($step, $pid, $lock) if $point eq ($is_built ? 'worker builds' : 'in');
	my $log = -s $node->logfile;
	$ways{$how}{strike}->($watcher, $pid);
	$caller->finish;
	like($err, $ways{$how}{ $is_worker ? 'of_worker' : 'complaint' },
		"$step, $point: the call is ended");
	like(slurp_file($node->logfile, $log), qr/"\Q$name\E" goes on, and is ended later/,
		"$step: the barrier opens before")
	  if $point eq 'held' && $how eq 'terminate';
	if ($how eq 'kill')
	{
		$node->wait_for_log(qr/database system is ready to accept connections/, $log);
		eval { $watcher->close };    # it went with the server
		$watcher = user_session($node, $database, $schema);
	}
	eval { $reader->close } if $reader;    # likewise
	$node->safe_psql($database, "ALTER DATABASE $database RESET procrastinate_migrate.fault_point");
	usleep(2000)
	  while $watcher->query(
		"SELECT count(*) FROM pg_stat_activity WHERE pid = $pid OR backend_type ="
		  . " 'procrastinate_migrate'"
	  );

	my ($left) = next_step();
	$point =~ /^(?:held|after)$/
	  ? isnt($left // 'none', $step, "$step, $point: it is done")
	  : is($left, $step, "$step, $point: it is the next to be done");
	cmp_ok($watcher->query('SELECT count(*) FROM procrastinate_log()'), '>=', $recorded,
		"$step, $point: the history does not go back");
	my $current =
	  is_as_recorded($node, $database, $schema, "$step, $point: the schema is as recorded");
	is( day($watcher, $current),
		$current < 27 ? 'succeeded todo' : 'succeeded todo cancelled',
		"$step, $point: a worker's day goes well");
	return;
}

# The plan names the strongest lock on each existing table. Tables that it does not name are locked
# in ACCESS SHARE mode at most.
sub locks_as_planned
{
	my ($step, $pid, $lock) = @_;
	return is(join(', ', sort(held_locks($watcher, $schema, $pid))),
		join(', ', sort split /, /, $lock), "$step takes the locks of its plan");
}

1;
