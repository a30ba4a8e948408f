# What finishing, retrying and cancelling a job does at each revision: the forms of the functions,
# and for each form a rule that returns the outcome and the changed columns.

package Procrastinate::Test::Finish;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw($LATER $SHOWN @cancels @finishes @retries);

our $LATER = '2030-03-03 03:03:03+00';
our $SHOWN = '2030-03-03T03:03:03+00:00';

# First and last revision, name, the arguments in words, and the rule: a function that is given the
# job and the arguments and says what is returned and what changes.
our @finishes = (
	[ 1,  22,    'procrastinate_finish_job',    'int status time',      \&finish_unchecked ],
	[ 14, 22,    'procrastinate_finish_job',    'int status',           \&finish_unchecked ],
	[ 16, 16,    'procrastinate_finish_job',    'int status bool',      \&finish_unchecked ],
	[ 17, 18,    'procrastinate_finish_job',    'int status bool',      \&finish_checked ],
	[ 19, 30,    'procrastinate_finish_job',    'int status time bool', \&finish_checked ],
	[ 23, 23,    'procrastinate_finish_job',    'int status bool',      \&finish_checked ],
	[ 24, 26,    'procrastinate_finish_job',    'bigint status bool',   \&finish_checked ],
	[ 27, 30,    'procrastinate_finish_job',    'bigint status bool',   \&finish_aborting ],
	[ 30, undef, 'procrastinate_finish_job_v1', 'bigint status bool',   \&finish_v1 ],);

our @retries = (
	[ 14, 17,    'procrastinate_retry_job', 'int time',                        \&retry_unchecked ],
	[ 18, 23,    'procrastinate_retry_job', 'int time',                        \&retry_checked ],
	[ 24, 30,    'procrastinate_retry_job', 'bigint time',                     \&retry_checked ],
	[ 28, 30,    'procrastinate_retry_job', 'bigint time priority queue lock', \&retry_checked ],
	[ 30, undef, 'procrastinate_retry_job_v1', 'bigint time priority queue lock', \&retry_v1 ],
	[ 37, undef, 'procrastinate_retry_job_v2', 'bigint time priority queue lock', \&retry_v2 ],);

our @cancels = (
	[ 27, 30,    'procrastinate_cancel_job',    'bigint bool bool', \&cancel_old ],
	[ 30, undef, 'procrastinate_cancel_job_v1', 'bigint bool bool', \&cancel_v1 ],);

# ------------------------------------------------------------------------------------------------
# The rules. A job is status, abort_requested and, for unknown jobs, nothing. A rule returns the
# outcome ('' for void, an id, 'NULL' or an error) and the columns that change ('gone': deleted).
# ------------------------------------------------------------------------------------------------

sub refuse { return ("P0001: $_[0]", {}) }

sub finish_unchecked
{
	my ($job, $id, $end, $time, $delete) = @_;
	return ('', {})     if not $job;
	return ('', 'gone') if $delete;
	return ('', { status => $end, attempts => 3, defined $time ? (scheduled_at => $SHOWN) : () });
}

sub finish
{
	my ($ends, $states, $words, $missing, $job, $id, $end, $delete) = @_;
	return refuse("End status should be either $words (job id: $id)") if $end !~ /^(?:$ends)$/;
	return refuse("Job was not found or not in $missing status (job id: $id)")
	  if not $job or $job->{status} !~ /^(?:$states)$/;
	return ('', 'gone') if $delete;
	return ('', { status => $end, $job->{status} eq 'doing' ? (attempts => 3) : () });
}

sub finish_checked
{
	my ($job, $id, $end, $time, $delete) = @_;
	return finish(
		'succeeded|failed',  'todo|doing', '"succeeded" or "failed"',
		'"doing" or "todo"', $job, $id, $end, $delete);
}

sub finish_aborting
{
	my ($job, $id, $end, $time, $delete) = @_;
	return finish(
		'succeeded|failed|aborted',           'todo|doing|aborting',
		'"succeeded", "failed" or "aborted"', '"doing", "todo" or "aborting"',
		$job,                                 $id, $end, $delete);
}

sub finish_v1
{
	my ($job, $id, $end, $time, $delete) = @_;
	my ($outcome, $changes) = finish(
		'succeeded|failed|aborted', 'todo|doing',
		'"succeeded", "failed" or "aborted"', '"doing" or "todo"', $job, $id, $end, $delete);
	$changes->{abort_requested} = 'false' if ref $changes and %$changes and $job->{abort_requested};
	return ($outcome, $changes);
}

# The change that every retry makes; NULL leaves priority, queue and lock as they are.
sub put_back
{
	my ($job, $time, $priority, $queue, $lock) = @_;
	my %changes = (attempts => 3, scheduled_at => defined $time ? $SHOWN : 'NULL');
	$changes{status}     = 'todo'    if $job->{status} ne 'todo';
	$changes{priority}   = $priority if defined $priority;
	$changes{queue_name} = $queue    if defined $queue;
	$changes{lock}       = $lock     if defined $lock;
	return ('', \%changes);
}

sub retry_unchecked
{
	my ($job, $id, @arguments) = @_;
	return $job ? put_back($job, @arguments) : ('', {});
}

sub retry_checked
{
	my ($job, $id, @arguments) = @_;
	return refuse("Job was not found or not in \"doing\" status (job id: $id)")
	  if not $job or $job->{status} ne 'doing';
	return put_back($job, @arguments);
}

sub retry_v1
{
	my ($job, $id, @arguments) = @_;
	return ('', { status => 'failed' })
	  if $job and $job->{status} eq 'doing' and $job->{abort_requested};
	return retry_checked($job, $id, @arguments);
}

sub retry_v2
{
	my ($job, $id, @arguments) = @_;
	return refuse("Job was not found or has an invalid status to retry (job id: $id)")
	  if not $job or $job->{status} !~ /^(doing|failed)$/;
	return ('', { status => 'failed' }) if $job->{status} eq 'doing' and $job->{abort_requested};

	# The table holds no waiting job that is to be aborted, so a failed one loses the request.
	my ($outcome, $changes) = put_back($job, @arguments);
	$changes->{abort_requested} = 'false' if $job->{abort_requested};
	return ($outcome, $changes);
}

sub cancel_old
{
	my ($job, $id, $abort, $delete, $revision) = @_;
	return ('NULL', {})                        if not $job;
	return ($id,    'gone')                    if $delete and $job->{status} eq 'todo';
	return ($id,    { status => 'cancelled' }) if $job->{status} eq 'todo';
	return ('NULL', {})                        if not $abort or $job->{status} ne 'doing';
	my %noticed = $revision == 30 && !$job->{abort_requested} ? (abort_requested => 'true') : ();
	return ($id, { status => 'aborting', %noticed });
}

sub cancel_v1
{
	my ($job, $id, $abort, $delete) = @_;
	return ('NULL', {})     if not $job;
	return ($id,    'gone') if $delete and $job->{status} eq 'todo';
	my %flag = $abort && !$job->{abort_requested} ? (abort_requested => 'true') : ();
	return ($id,    { status => 'cancelled', %flag }) if $job->{status} eq 'todo';
	return ($id,    \%flag)                           if $abort and $job->{status} eq 'doing';
	return ('NULL', {});
}

1;
