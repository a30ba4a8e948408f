# Jobs as the clients of a revision make them.

package Procrastinate::Test::Jobs;

use strict;
use warnings;

use Exporter 'import';

use Procrastinate::Test::SQL;

our @EXPORT = qw(defer forms insert_jobs);

my $locks = 0;

# Of a list of [ first, last, anything ... ] those that live at the revision.
sub forms
{
	my ($revision, @all) = @_;
	return grep { $_->[0] <= $revision and $revision <= $_->[1] } @all;
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
		return $session->query('INSERT INTO procrastinate_jobs'
			  . " (queue_name, task_name, lock, args, scheduled_at$column)"
			  . " VALUES ($queue, $task, $lock, $args, $scheduled_at$more) RETURNING id");
	}
	my @six = ($lock, $queueing_lock, $args, $scheduled_at);
	my $call =
	    $revision < 25 ? call_of('procrastinate_defer_job',    $queue, $task, @six)
	  : $revision < 30 ? call_of('procrastinate_defer_job',    $queue, $task, $priority, @six)
	  : $revision < 34 ? call_of('procrastinate_defer_job_v1', $queue, $task, $priority, @six)
	  : '(procrastinate_defer_jobs_v1(ARRAY['
	  . call_of('ROW', $queue, $task, $priority, @six)
	  . '::procrastinate_job_to_defer_v1]))[1]';
	return $session->query("SELECT $call");
}

1;
