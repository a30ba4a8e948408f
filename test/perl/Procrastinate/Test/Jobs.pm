# Jobs as the clients of a revision make them.

package Procrastinate::Test::Jobs;

use strict;
use warnings;

use Exporter 'import';

use Procrastinate::Test::Facts;
use Procrastinate::Test::SQL;

our @EXPORT = qw($ALL_ROWS day defer forms insert_jobs insert_many);

# A count and a checksum of all jobs and events, by what no revision changes.
our $ALL_ROWS = <<'SQL';
SELECT (SELECT count(*) || md5(string_agg(concat_ws('/', id, queue_name, task_name, lock, args,
			   CASE status::text WHEN 'aborting' THEN 'doing' ELSE status::text END, scheduled_at,
			   attempts), ' ' ORDER BY id)) FROM procrastinate_jobs)
       || (SELECT count(*) || md5(string_agg(concat_ws('/', id, job_id, type, at), ' ' ORDER BY id))
             FROM procrastinate_events)
SQL

my $locks = 0;

# Of a list of [ first, last, what, ... ], the entries that hold at the revision. An entry whose
# last revision is undef holds as long as the schema has the function that `what` names or calls.
sub forms
{
	my ($revision, @all) = @_;
	return grep {
		$_->[0] <= $revision
		  and $revision <= ($_->[1] // last_revision_of($_->[2] =~ /(procrastinate_\w+)/))
	} @all;
}

# Inserts rows into procrastinate_jobs as they are given, hashes of column => value. Before 0008
# every client gave every job a lock, and so does this.
sub insert_jobs
{
	my ($session, $revision, @jobs) = @_;
	my $sql = '';
	foreach my $job (@jobs)
	{
		my %row = (queue_name => 'default', task_name => 'task', %$job);
		$row{lock} //= "own lock of $row{id}" if $revision < 8;
		my @columns = sort keys %row;
		$sql .=
		  'INSERT INTO procrastinate_jobs ('
		  . join(', ', map { name($_) } @columns)
		  . ') VALUES ('
		  . join(', ', map { lit($row{$_}) } @columns) . ");\n";
	}
	$session->query($sql);
	return;
}

# So many jobs of several queues, tasks, times and statuses, with a lock each, as of 0001.
sub insert_many
{
	my ($session, $count) = @_;
	$session->query(<<"SQL");
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, scheduled_at, attempts)
SELECT 'queue ' || n % 5, 'task ' || n % 7, 'lock ' || n, jsonb_build_object('n', n),
       (enum_range(NULL::procrastinate_job_status))[1 + n % 4],
       CASE WHEN n % 3 = 0 THEN timestamptz '2020-01-01 UTC' + make_interval(mins => n) END, n % 11
  FROM generate_series(1, $count) AS n
SQL
	return;
}

# Defers a job as a client of the revision does, and returns its id. Keys: queue, task, priority,
# lock, queueing_lock, args, scheduled_at.
sub defer
{
	my ($session, $revision, %job) = @_;
	my %value = (queue => 'default', task => 'task', priority => 0, args => '{}', %job);
	$value{lock} //= 'own lock ' . ++$locks if $revision < 8;
	my ($queue, $task, $priority, $lock, $queueing_lock, $args, $scheduled_at) =
	  map { lit($value{$_}) } qw(queue task priority lock queueing_lock args scheduled_at);

	if ($revision < 9)
	{
		my ($column, $more) = $revision < 7 ? ('', '') : (', queueing_lock', ", $queueing_lock");
		return $session->query(
			'INSERT INTO procrastinate_jobs'
			  . " (queue_name, task_name, lock, args, scheduled_at$column)"
			  . " VALUES ($queue, $task, $lock, $args, $scheduled_at$more) RETURNING id");
	}
	my @six = ($lock, $queueing_lock, $args, $scheduled_at);
	my $call =
	  $revision < 25
	  ? call_of('procrastinate_defer_job', $queue, $task, @six)
	  : $revision < 30 ? call_of('procrastinate_defer_job',    $queue, $task, $priority, @six)
	  : $revision < 34 ? call_of('procrastinate_defer_job_v1', $queue, $task, $priority, @six)
	  : '(procrastinate_defer_jobs_v1(ARRAY['
	  . call_of('ROW', $queue, $task, $priority, @six)
	  . '::procrastinate_job_to_defer_v1]))[1]';
	return $session->query("SELECT $call");
}

# A worker's day, by the newest calls that clients of the revision have: jobs are deferred, one is
# fetched and finished, one fetched and retried, one cancelled, and a tick is deferred. Nothing of
# it stays. Returns what became of the jobs.
sub day
{
	my ($session, $revision) = @_;
	my $fetch =
	  $revision < 30
	  ? q{procrastinate_fetch_job('{day}')}
	  : newest_call('procrastinate_fetch_job', $revision, 'character varying[]' => q('{day}'));
	my $newest = sub { return newest_call($_[0], $revision) =~ s/\(.*//r };
	my @finish =
	  $revision < 19
	  ? ('procrastinate_finish_job', q{'succeeded'}, 'NULL::timestamptz')
	  : $revision < 30 ? ('procrastinate_finish_job', q{'succeeded'}, 'now()', 'false')
	  :                  ($newest->('procrastinate_finish_job'), q{'succeeded'}, 'false');
	my @retry =
	  $revision < 14
	  ? ('procrastinate_finish_job', q{'todo'}, 'now()')
	  : $revision < 30 ? ('procrastinate_retry_job', 'now()')
	  :                  ($newest->('procrastinate_retry_job'), 'now()', ('NULL') x 3);
	my @tick = (
		q{'ticks'}, (q{'a lock'}, 'NULL') x ($revision >= 12), q{'tick'}, (0) x ($revision >= 26),
		(q{'id'}) x ($revision >= 21), 100, (q{'{}'}) x ($revision >= 21));

	$session->query('BEGIN');
	foreach my $end (\@finish, \@retry)
	{
		defer($session, $revision, queue => 'day');
		my $id = $session->query("SELECT id FROM $fetch");
		my ($function, @rest) = @$end;
		$session->query('SELECT ' . call_of($function, $id, @rest));
	}
	if ($revision >= 27)
	{
		my $id = defer($session, $revision, queue => 'day');
		$session->query(
			'SELECT ' . call_of(
				'procrastinate_cancel_job' . ($revision < 30 ? '' : '_v1'),
				$id, 'false', 'false'));
	}
	$session->query(
		'SELECT ' . call_of(
			'procrastinate_defer_periodic_job'
			  . ($revision < 30 ? '' : $revision < 34 ? '_v1' : '_v2'), @tick)) if $revision >= 10;
	my $jobs = $session->query(
		q{SELECT string_agg(status::text, ' ' ORDER BY id) FROM procrastinate_jobs WHERE queue_name}
		  . q{ = 'day'}
	);
	$session->query('ROLLBACK');
	return $jobs;
}

1;
