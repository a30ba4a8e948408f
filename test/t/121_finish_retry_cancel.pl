# procrastinate_finish_job, procrastinate_retry_job and procrastinate_cancel_job of every revision:
# each form is called on a job in every state with every argument, and the changes of the job, the
# value returned or the error is compared with the rules of
# Procrastinate::Test::Finish.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Finish;

my $NEVER = 999999;

# By schema: a session that holds jobs.
my %holders;

# ------------------------------------------------------------------------------------------------
# The walk
# ------------------------------------------------------------------------------------------------

my $node = start_server();
walk_revisions($node, \&visit);
$_->close foreach values %holders;
done_testing();

sub visit
{
	my ($session, $revision, undef, $schema, $database) = @_;
	my $before = called_before($session);
	my $holder = $holders{$schema} //= new_session($node, $database, $schema);
	every_case($session, $revision, $_, finish_arguments($revision, $_))
	  foreach forms($revision, @finishes);
	every_case($session, $revision, $_, retry_arguments($_)) foreach forms($revision, @retries);
	every_case($session, $revision, $_, cancel_arguments())  foreach forms($revision, @cancels);
	errors_by_sqlstate($session, $revision);
	locks_set_free($session, $revision) if $revision < 8;
	null_arguments($session, $revision);
	held_jobs($session, $revision, $holder, $_, finish_arguments($revision, $_))
	  foreach forms($revision, @finishes);
	held_jobs($session, $revision, $holder, $_, retry_arguments($_))
	  foreach forms($revision, @retries);
	held_jobs($session, $revision, $holder, $_, cancel_arguments())
	  foreach forms($revision, @cancels);
	retry_of_ending_job($session, $revision, $database, $holder, $_)
	  foreach grep { $_->[0] >= 18 } forms($revision, @retries);
	all_called($session, $before, 'finish', $revision);
	return;
}

# Argument lists: references to [ words, SQL of the arguments after the id, values for the rule ].
sub finish_arguments
{
	my ($revision, $form) = @_;
	my @times   = $form->[3] =~ /time/ ? (undef, $LATER) : (undef);
	my @deletes = $form->[3] =~ /bool/ ? (undef, 0, 1) : (undef);
	my @lists;
	foreach my $end (statuses($revision))
	{
		foreach my $time (@times)
		{
			foreach my $delete (@deletes)
			{
				my @sql = (lit($end) . '::procrastinate_job_status');
				push @sql, lit($time) . '::timestamptz' if $form->[3] =~ /time/;
				push @sql, truth($delete)               if $form->[3] =~ /bool/;
				push @lists, [
					"end $end" . (@sql > 1 ? " @sql[1 .. $#sql]" : ''),
					\@sql, [ $end, $time, $delete ] ];
			}
		}
	}
	return @lists;
}

sub retry_arguments
{
	my ($form) = @_;
	my @more = ([]);
	@more = (
		[ undef, undef, undef ],      [ -4, undef, undef ], [ undef, 'slow', undef ],
		[ undef, undef, 'new lock' ], [ 0,  '',    '' ])
	  if $form->[3] =~ /priority/;
	my @lists;
	foreach my $time (undef, $LATER)
	{
		foreach my $more (@more)
		{
			my @sql = (lit($time) . '::timestamptz');
			push @sql, lit($more->[0]) . '::integer', lit($more->[1]) . '::varchar',
			  lit($more->[2]) . '::varchar'
			  if @$more;
			push @lists, [ "at @sql", \@sql, [ $time, @$more ] ];
		}
	}
	return @lists;
}

sub cancel_arguments
{
	my @lists;
	foreach my $abort (0, 1, undef)
	{
		foreach my $delete (0, 1, undef)
		{
			my @sql = (truth($abort), truth($delete));
			push @lists, [ "abort $sql[0] delete $sql[1]", \@sql, [ $abort, $delete ] ];
		}
	}
	return @lists;
}

sub truth
{
	my ($value) = @_;
	return defined $value ? $value ? 'true' : 'false' : 'NULL::boolean';
}

# Calls one form on jobs in every state with every list of arguments, one job a call.
sub every_case
{
	my ($session, $revision, $form, @lists) = @_;
	my (undef, undef, $function, $words, $rule) = @$form;
	my $type = $words =~ /^bigint/ ? 'bigint' : 'integer';
	my (@jobs, @calls, @expected, @names);
	foreach my $kind (kinds_of_jobs($revision), undef)
	{
		foreach my $list (@lists)
		{
			my ($what, $sql, $values) = @$list;
			my $id          = $kind ? @jobs + 1 : $NEVER;
			my @rule_values = @$values;
			push @rule_values, $revision if $function =~ /cancel/;
			my ($outcome, $changes) = $rule->($kind, $id, @rule_values);
			push @names, ($kind ? $kind->{words} : 'no job') . ", $what";
			push @calls, [
				scalar @names,
				'SELECT ' . call_of($function, "${id}::$type", @$sql) ];
			push @expected, expectation($names[-1], $outcome, $changes, $kind);
			push @jobs,     job_of($revision, $id, $kind) if $kind;
		}
	}
	scenario(
		$session,
		sub {
			insert_jobs($session, $revision, @jobs);
			$session->remember;
			my %outcome = map { @$_ } $session->outcomes(@calls);
			my %changes = $session->changes;
			my @got     = map {
				"$names[ $_ - 1 ]: outcome $outcome{$_}, changes " . ($changes{$_} // '')
			} 1 .. @names;
			same_lines(\@got, \@expected, "$function ($words) on jobs in every state");
		});
	return;
}

# A job's kinds: every status, and from 0030 on with and without a request to abort, as far as the
# table allows.
sub kinds_of_jobs
{
	my ($revision) = @_;
	my @kinds      = map { { status => $_, words => $_ } } statuses($revision);
	push @kinds, map { { status => $_, abort_requested => 1, words => "$_ to be aborted" } }
	  grep { $_ ne 'todo' } statuses($revision)
	  if $revision >= 30;
	return @kinds;
}

sub job_of
{
	my ($revision, $id, $kind) = @_;
	my %job = (
		id           => $id, status        => $kind->{status}, attempts => 2, queue_name => 'mail',
		scheduled_at => '2020-02-02', args => '{"a": 1}');
	$job{queueing_lock}   = "queueing lock $id"           if $revision >= 7;
	$job{lock}            = "lock $id"                    if $id % 2;
	$job{priority}        = 5                             if $revision >= 25;
	$job{abort_requested} = $kind->{abort_requested} // 0 if $revision >= 30;
	return \%job;
}

# The line that a case should give. A change to the value that is there already shows nothing.
sub expectation
{
	my ($name, $outcome, $changes, $kind) = @_;
	my $text = $changes;
	if (ref $changes)
	{
		my %shown = %$changes;
		delete $shown{status} if $kind and ($shown{status} // '') eq $kind->{status};
		$text = join ' ', map { "$_=$shown{$_}" } sort keys %shown;
	}
	return "$name: outcome $outcome, changes $text";
}

# ------------------------------------------------------------------------------------------------
# Jobs that another transaction holds
# ------------------------------------------------------------------------------------------------

# A call that changes nothing, because the job's status does not allow it, does not wait for a
# transaction that holds the job.
sub held_jobs
{
	my ($session, $revision, $holder, $form, @lists) = @_;
	my (undef, undef, $function, $words, $rule) = @$form;
	my ($type) = $words =~ /^bigint/ ? 'bigint' : 'integer';
	my @kinds = kinds_of_jobs($revision);
	my (@calls, @expected);
	foreach my $id (1 .. @kinds)
	{
		foreach my $list (@lists)
		{
			my (undef, $sql, $values) = @$list;
			my ($outcome) =
			  $rule->($kinds[ $id - 1 ], $id, @$values, $function =~ /cancel/ ? $revision : ());
			next if $outcome !~ /^(?:P0001|NULL)/;
			push @calls, [ scalar @calls, 'SELECT ' . call_of($function, "${id}::$type", @$sql) ];
			push @expected, "$calls[-1][1] on $kinds[ $id - 1 ]{words}: $outcome";
		}
	}
	return if not @calls;

	insert_jobs($session, $revision, map { job_of($revision, $_, $kinds[ $_ - 1 ]) } 1 .. @kinds);
	$holder->query('BEGIN; SELECT FROM procrastinate_jobs FOR UPDATE');
	$session->query(q{SET lock_timeout = '100ms'});
	my @outcomes = map { $_->[1] } $session->outcomes(@calls);
	$session->query('RESET lock_timeout');
	$holder->query('COMMIT');
	$session->query('DELETE FROM procrastinate_jobs');
	my @got = map { $expected[$_] =~ s/: (?:P0001|NULL).*/: $outcomes[$_]/r } 0 .. $#calls;
	same_lines(\@got, \@expected, "$function ($words) does not wait if it changes nothing");
	return;
}

# A retry of a running job waits for a transaction that ends the job, and then fails. One of a job
# that another transaction is fetching fails at once.
sub retry_of_ending_job
{
	my ($session, $revision, $database, $holder, $form) = @_;
	my (undef, undef, $function, $words, $rule) = @$form;
	my ($list)  = retry_arguments($form);
	my $call    = 'SELECT ' . call_of($function, 1, @{ $list->[1] });
	my ($error) = $rule->(undef, 1);
	my $set     = q{UPDATE procrastinate_jobs SET status = };

	insert_jobs($session, $revision, { id => 1, status => 'doing' });
	$holder->query("BEGIN; $set 'succeeded'");
	$session->send($call);
	ok($node->poll_query_until($database, $session->waits_for_lock),
		"$function ($words) waits for a transaction that ends the job");
	$holder->query('COMMIT');
	my (undef, $got) = $session->wait;
	is($got, $error, "$function ($words) is refused after the end of the job");
	is($session->query('SELECT status, attempts FROM procrastinate_jobs'),
		'succeeded|0', 'the job stays as it ended');

	$session->query("$set 'todo'");
	$holder->query("BEGIN; $set 'doing'");
	$session->query(q{SET lock_timeout = '100ms'});
	is($session->refusal($call),
		$error, "$function ($words) does not wait for a fetch that is not committed");
	$session->query('RESET lock_timeout');
	$holder->query('COMMIT');
	$session->query('DELETE FROM procrastinate_jobs');
	return;
}

# ------------------------------------------------------------------------------------------------
# Single points
# ------------------------------------------------------------------------------------------------

# The errors as a client receives them from a call that is a statement of its own.
sub errors_by_sqlstate
{
	my ($session, $revision) = @_;
	my @cases = (
		[   17, 23, q{SELECT procrastinate_finish_job(7, 'todo', false)}, 'End status should be'
			  . ' either "succeeded" or "failed" (job id: 7)', [ 19 .. 22 ] ],
		[   27, 30, q{SELECT procrastinate_finish_job(8, 'todo', true)}, 'End status should be'
			  . ' either "succeeded", "failed" or "aborted" (job id: 8)' ],
		[   27, 30, q{SELECT procrastinate_finish_job(8, 'aborted', true)}, 'Job was not found or'
			  . ' not in "doing", "todo" or "aborting" status (job id: 8)' ],
		[   30, undef, q{SELECT procrastinate_finish_job_v1(9, 'cancelled', false)},
			'End status should'
			  . ' be either "succeeded", "failed" or "aborted" (job id: 9)' ],
		[   30, undef, q{SELECT procrastinate_finish_job_v1(9, 'failed', false)},
			'Job was not found or'
			  . ' not in "doing" or "todo" status (job id: 9)' ],
		[   18, 30, 'SELECT procrastinate_retry_job(10, now())', 'Job was not found or not in'
			  . ' "doing" status (job id: 10)' ],
		[   30, undef, 'SELECT procrastinate_retry_job_v1(11, now(), NULL, NULL, NULL)',
			'Job was not'
			  . ' found or not in "doing" status (job id: 11)' ],
		[   37, undef, 'SELECT procrastinate_retry_job_v2(12, now(), NULL, NULL, NULL)',
			'Job was not'
			  . ' found or has an invalid status to retry (job id: 12)' ]);
	foreach my $case (forms($revision, @cases))
	{
		my (undef, undef, $sql, $message, $except) = @$case;
		next if grep { $_ == $revision } @{ $except // [] };
		is($session->refusal($sql), "P0001: $message", "$sql is refused");
	}
	return;
}

# Until 0008 the end of a run frees the lock in procrastinate_job_locks, and only that lock.
sub locks_set_free
{
	my ($session, $revision) = @_;
	foreach my $end (q{'succeeded', NULL}, q{'failed', NULL}, q{'todo', '2001-01-01'})
	{
		scenario(
			$session,
			sub {
				insert_jobs($session, $revision, { id => 1, lock => 'x' },
					{ id => 2, lock => 'y' });
				$session->query('SELECT id FROM procrastinate_fetch_job(NULL)') foreach 1, 2;
				$session->query("SELECT procrastinate_finish_job(1, $end)");
				is( $session->query('SELECT object FROM procrastinate_job_locks'),
					'y', "procrastinate_finish_job(1, $end) frees the lock of its job and no other"
				);
			});
	}
	return;
}

# NULL for the job is an unknown job; NULL for the end status never gets into the table.
sub null_arguments
{
	my ($session, $revision) = @_;
	scenario(
		$session,
		sub {
			insert_jobs($session, $revision, { id => 1, status => 'doing' });
			$session->remember;
			my (@calls, @expected);
			my $add = sub { push @calls, [ scalar @calls, $_[0] ]; push @expected, "$_[0]: $_[1]" };
			foreach my $form (forms($revision, @finishes))
			{
				my (undef, undef, $function, $words, $rule) = @$form;
				my @id = 'NULL::' . ($words =~ /^bigint/ ? 'bigint' : 'integer');
				my @rest =
				  (("NULL::timestamptz") x ($words =~ /time/), ('false') x ($words =~ /bool/));
				my ($outcome) = $rule->(undef, '<NULL>', 'failed', undef, 0);
				$add->('SELECT ' . call_of($function, @id, q{'failed'}, @rest), $outcome);
				(my $one = $id[0]) =~ s/NULL/1/;
				$add->('SELECT ' . call_of($function, $one, 'NULL', @rest), 'an error');
			}
			foreach my $form (forms($revision, @retries), forms($revision, @cancels))
			{
				my (undef, undef, $function, $words, $rule) = @$form;
				my @arguments = map { 'NULL::' . $_ } split / /, $words;
				s/time/timestamptz/, s/(queue|lock)/varchar/, s/priority/integer/
				  foreach @arguments;
				my ($outcome) = $rule->(undef, '<NULL>');
				$add->('SELECT ' . call_of($function, @arguments), $outcome);
			}
			my @got = map { "$calls[ $_->[0] ][1]: $_->[1]" } $session->outcomes(@calls);
			s/: \w{5}: (?!Job was).*/: an error/ foreach @got;
			same_lines(\@got, \@expected, 'NULL for the job or the end status is handled');
			my %changes = $session->changes;
			is($changes{1}, '', 'calls with NULL do not change the running job');
		}) if forms($revision, @finishes, @retries, @cancels);
	return;
}
