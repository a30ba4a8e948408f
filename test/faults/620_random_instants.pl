# Ends a migration under load at 200 random instants: by a cancel, by pg_terminate_backend(), or
# with the server. Each time the schema is as its history says, every job has its events, and the
# next call continues from there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use Procrastinate::Test;

# From, to, and the release whose clients are at work.
my @paths    = ([ 22, 30, '0.23' ], [ 6, 22, '0.8' ], [ 30, 32, '3.0' ]);
my $limit    = $PostgreSQL::Test::Utils::timeout_default;
my $node     = start_server(conf => "synchronous_commit = on\nrestart_after_crash = on");
my $database = new_database($node);

# A seed repeats the same choices, but not the same timing.
my $seed = $ENV{SEED} // time;
srand $seed;
note("SEED=$seed");

my ($instants, $rounds, $struck) = (0, 0, 0);
my %problems;
while ($struck < 200)
{
	round('round_' . ++$rounds, @{ $paths[ $rounds % @paths ] });
}
is(join("\n", map { "$problems{$_} times: $_" } sort keys %problems), '',
	"ended $struck times: nothing is lost, and all go on");
note("$rounds schemas");
done_testing();

# ------------------------------------------------------------------------------------------------

sub sql
{
	my ($query) = @_;
	return $node->safe_psql($database, $query);
}

sub problem_unless
{
	my ($fine, $what) = @_;
	$problems{$what}++ if !$fine;
	return;
}

sub start_clients
{
	my ($schema, $release) = @_;
	local $ENV{PGOPTIONS} = "-c search_path=$schema,public";
	return start_load($node, $database, [ release_scripts($release) ], qw(-c 3 -R 200));
}

sub stop_clients
{
	my ($load) = @_;
	my $complaints = stop_load($load);
	problem_unless($complaints !~ /ERROR:  (?!terminating|canceling)/,
		"a client has seen: $complaints");
	return;
}

# Upgrades one schema. Each call is ended, until one reaches the target.
sub round
{
	my ($schema, $from, $to, $release) = @_;
	upgrade($node, $database, $from, $schema);
	sql(<<"SQL");
SET search_path = $schema;
INSERT INTO procrastinate_jobs (queue_name, task_name, status)
SELECT 'ended', 'task ' || n, 'succeeded' FROM generate_series(1, 3000) AS n;
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, 'succeeded', now() FROM procrastinate_jobs;
SQL
	sql("SET search_path = $schema; SET session_replication_role = replica; INSERT INTO"
	  . " procrastinate_jobs (queue_name, task_name, status, abort_requested)"
		  . q{ SELECT 'aborted', 'task', 'aborting', true FROM generate_series(1, 3000)}
	) if $from == 30;
	my $rows =
	  "SELECT md5(string_agg(concat_ws('/', e.id, job_id, type, at, j.task_name), ' ' ORDER BY"
	    . " e.id))"
	  . " FROM $schema.procrastinate_events e JOIN $schema.procrastinate_jobs j ON j.id = job_id"
	    . " WHERE queue_name = 'ended'";
	my $before = sql($rows);
	my $load   = start_clients($schema, $release);
	my $is_there;
	do
	{
		$is_there = instant($schema, $to, $release, \$load);
		problem_unless(sql($rows) eq $before, 'rows that were there are others');
		problem_unless(
			sql("SELECT count(*) FROM $schema.procrastinate_jobs j WHERE queue_name NOT IN"
			  . " ('ended', 'aborted') AND NOT EXISTS"
				  . " (SELECT FROM $schema.procrastinate_events e WHERE e.job_id = j.id AND e.type"
				    . " = 'deferred')"
			) eq '0',
			'a job has no event');
		my ($differences) = differences_from_record($node, $database, $schema);
		problem_unless($differences eq '', "the schema is not as recorded: $differences");
		# What is left of a build of an index has a name of its own.
		my $found = sql("SELECT string_agg(concat_ws(' ', revision, source, problem, object), ', ')"
			  . " FROM procrastinate_current('$schema'), procrastinate_check('current', '$schema')"
			  . " WHERE source !~ ' done' AND object !~ 'id_lock_idx_00'");
		problem_unless($found eq '', "at a revision check finds $found");
	} until $is_there;
	my $jobs = sql("SELECT max(id) FROM $schema.procrastinate_jobs");
	$node->poll_query_until($database, "SELECT max(id) > $jobs FROM $schema.procrastinate_jobs")
	  or problem_unless(0, 'no client works any more');
	stop_clients($load);
	problem_unless(sql("SELECT count(*) FROM procrastinate_check(schema => '$schema')") eq '0',
		'check is not empty');
	problem_unless(
		sql("SELECT count(*) FROM $schema.procrastinate_jobs WHERE status = 'doing' AND"
		  . " abort_requested AND queue_name = 'aborted'"
		) eq '3000',
		'a job that was being aborted is not') if $from == 30;
	my $session = user_session($node, $database, $schema);
	my $day     = day($session, $to);
	problem_unless($day eq ($to < 27 ? 'succeeded todo' : 'succeeded todo cancelled'),
		"a worker's day at $to ends with: $day");
	$session->close;
	sql("DROP SCHEMA $schema CASCADE");
	return;
}

# Starts a call and ends it at some instant. Returns true if it had finished before.
sub instant
{
	my ($schema, $to, $release, $load) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $call = IPC::Run::start(
		[   $node->installed_command('psql'), qw(-XAtq -d), $node->connstr($database),
			'-c',                             'SET client_min_messages = warning', '-c',
			"CALL procrastinate_migrate('" . revision_name($to) . "', '$schema')" ],
		'<',
		\$in,
		'>',
		\$out,
		'2>',
		\$err,
		IPC::Run::timeout($limit));
	$instants++;
	usleep(int rand 120_000);
	my $how       = (qw(cancel terminate cancel terminate kill))[ $instants % 5 ];
	my $log       = -s $node->logfile;
	my $callers   = 'FROM pg_stat_activity WHERE query ~ \'^CALL procrastinate_migrate\'';
	my $pid       = sql("SELECT max(pid) $callers");
	my $is_killed = 0;
	if ($pid ne '' && $how eq 'kill')
	{
		$is_killed = kill('KILL', $pid) && was_killed($pid, $log);
		$struck += $is_killed;
	}
	elsif ($pid ne '')
	{
		$struck += sql("SELECT count(*) FROM (SELECT pg_${how}_backend(pid) $callers) AS ended");
	}
	$call->finish;
	if ($is_killed)
	{
		$node->wait_for_log(qr/database system is ready to accept connections/, $log);
		stop_clients($$load);
		$$load = start_clients($schema, $release);
		return 0;
	}
	problem_unless(
			 $err eq ''
		  || $err =~
		  /canceling\ statement\ due\ to\ user\ request
		  |terminating\ connection\ due\ to\ administrator\ command/x,
		"the call ends with: $err");
	return $err eq '';
}

# True if the kill hit a process that was not ending anyway. The server logs it before it accepts
# connections again.
sub was_killed
{
	my ($pid, $log) = @_;
	usleep(2000) while kill 0, $pid;
	# Whether the server accepts it does not matter. The query comes from no pipe: a refused psql
	# does not read one.
	IPC::Run::run(
		[   $node->installed_command('psql'), qw(-XAtq -c), 'SELECT 1',
			'-d',                             $node->connstr('postgres') ],
		'<',
		'/dev/null',
		'>&',
		'/dev/null');
	return slurp_file($node->logfile, $log) =~ /\(PID $pid\) was terminated by signal 9/ ? 1 : 0;
}
