# procrastinate_fetch_job of every revision: jobs of one lock run one at a time, also with many jobs
# that are held up by others of their lock.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Fetch;

my $node = start_server();
walk_revisions($node, \&visit);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my @forms = forms($revision, @fetches);
	plan skip_all => "Procrastinate::Test::Fetch knows no fetch function of $revision" if !@forms;
	foreach my $form (@forms)
	{
		my (undef, undef, $function, $call) = @$form;
		my $fetch = sub { $call->($_[0] // 'NULL', $_[1] // 'NULL') };
		my $rule  = lock_rule($function, $revision);
		locks_in_table($session, $revision, $function, $fetch)       if $rule eq 'lock table';
		locks_of_jobs($session, $revision, $function, $fetch, $rule) if $rule ne 'lock table';
		locks_and_priority($session, $revision, $function, $fetch, $rule)
		  if has_priority($revision);
		many_held_up($session, $revision, $function, $fetch, $rule) if $rule ne 'lock table';
		many_jobs($session, $revision, $function, $fetch, $rule, $_) foreach 90, 400;
	}
	return;
}

# Revisions 0001 to 0007: the lock is in procrastinate_job_locks, or it is not.
sub locks_in_table
{
	my ($session, $revision, $function, $fetch) = @_;
	my $held = q{SELECT string_agg(object, ' ' ORDER BY object) FROM procrastinate_job_locks};
	scenario(
		$session,
		sub {
			insert_jobs(
				$session, $revision, { id => 1, lock => 'x' }, { id => 2, lock => 'x' },
				{ id => 3, lock => 'y' }, { id => 4, lock => 'z' }, { id => 5, lock => 'z' });
			$session->query(q{INSERT INTO procrastinate_job_locks VALUES ('z')});
			is(drained($session, $fetch->()), '1 3',
				"$function passes over jobs whose lock is held");
			is( $session->query($held),
				'x y z', "$function holds the locks of the jobs that it fetched");
			$session->query(q{DELETE FROM procrastinate_job_locks WHERE object = 'x'});
			is(drained($session, $fetch->()), '2',
				"$function fetches the next job of a lock that was released");
		});
	comes(
		$session, $revision, $fetch->(), '2',
		"$function goes by the table of locks, not by the state of other jobs",
		{ id => 1, lock => 'x', status => 'doing' }, { id => 2, lock => 'x' });
	return;
}

# From 0008 on: the state of other jobs of the same lock decides.
sub locks_of_jobs
{
	my ($session, $revision, $function, $fetch, $rule) = @_;
	my $next = sub {
		my ($expected, $name, $first, $second) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		comes(
			$session, $revision, $fetch->(q{'{default}'}), $expected, "$function $name",
			{ id => 1, lock => 'x', %$first }, { id => 2, lock => 'x', %{ $second // {} } });
	};
	$next->('1',   'does not fetch a second job of a lock',      {});
	$next->('',    'waits for an earlier job that is doing',     { status       => 'doing' });
	$next->('',    'waits for an earlier job that is for later', { scheduled_at => '2999-01-01' });
	$next->('',    'waits for an earlier job of another queue',  { queue_name   => 'other' });
	$next->('1 2', 'lets jobs of different locks run side by side', {},       { lock => 'y' });
	$next->('1 2', 'compares locks case-sensitively',               {},       { lock => 'X' });
	$next->('1 2', 'takes NULL for no lock', { lock => undef }, { lock => undef });
	$next->(
		'2', 'is not held up by a running job without lock',
		{ lock => undef, status => 'doing' }, { lock => undef });
	$next->('1', 'takes the empty string for a lock', { lock => '' }, { lock => '' });
	foreach my $status (grep { !/^(todo|doing|aborting)$/ } statuses($revision))
	{
		$next->('2', "is not held up by an earlier job that is $status", { status => $status });
	}
	if ($revision >= 27)
	{
		my $expected = $rule eq 'id, also aborting' ? ''          : '2';
		my $what     = $expected eq ''              ? 'waits for' : 'is not held up by';
		$next->($expected, "$what an earlier job that is aborting", { status => 'aborting' });
		$next->('1', 'is not held up by a later job that is aborting', {}, { status => 'aborting' })
		  if $revision < 36;
	}
	return;
}

# Priorities among the jobs of one lock.
sub locks_and_priority
{
	my ($session, $revision, $function, $fetch, $rule) = @_;
	my @jobs = (
		{ id => 1, lock => 'x',   priority => 1 },
		{ id => 2, lock => 'x',   priority => 9 },
		{ id => 3, lock => 'y',   priority => 5 },
		{ id => 4, lock => 'y',   priority => 5 },
		{ id => 5, lock => undef, priority => 2 },
		{ id => 6, lock => undef, priority => 3 });
	if ($rule eq 'priority, then id')
	{
		comes(
			$session, $revision, $fetch->(), '2 3 6 5',
			"$function prefers the higher priority also among the jobs of a lock", @jobs);
		comes(
			$session, $revision, $fetch->(), '',
			"$function waits for a job of the lock that is doing, whichever is older",
			{ id => 1, lock => 'x', priority => 5 }, { id => 2, lock => 'x', status => 'doing' });
		comes(
			$session, $revision, $fetch->(), '',
			"$function waits for a job of higher priority that is for later",
			{ id => 1, lock => 'x' },
			{ id => 2, lock => 'x', priority => 1, scheduled_at => '2999-01-01' });
		comes(
			$session, $revision, $fetch->(), '2',
			"$function is not held up by an earlier job of lower priority that is for later",
			{ id => 1, lock => 'x', scheduled_at => '2999-01-01' },
			{ id => 2, lock => 'x', priority     => 1 });
	}
	else
	{
		comes(
			$session, $revision, $fetch->(), '3 6 5 1',
			"$function keeps to the order of ids among the jobs of a lock", @jobs);
	}
	return;
}

# More jobs that are due and held up than are looked at one by one (five, or fifty): the rest has to
# be found in another way, by the same rules.
sub many_held_up
{
	my ($session, $revision, $function, $fetch, $rule) = @_;
	my $later = { scheduled_at => '2999-01-01' };
	foreach my $number (4, 5, 6, 49, 50, 51, 120)
	{
		comes(
			$session, $revision, $fetch->(), '2001 2002 2003',
			"$function passes over $number jobs that are held up",
			pairs($revision, $number, $later),
			{ id => 2001, lock => 'free' }, { id => 2002 }, { id => 2003, lock => 'free too' },
			{ id => 2004, lock => 'lock 2' }, { id => 2005, lock => 'free' });
		comes(
			$session, $revision, $fetch->(), '', "$function finds none but $number held up",
			pairs($revision, $number, $later));
	}
	comes(
		$session, $revision, $fetch->(), '2001', "$function passes over many of running locks",
		pairs($revision, 60, { status => 'doing' }), { id => 2001, lock => 'free' });
	comes(
		$session, $revision, $fetch->(q{'{a}'}), '2002 2004',
		"$function passes over many of its queue, held up by another's",
		pairs($revision, 60, { %$later, queue_name => 'b' }, { queue_name => 'a' }),
		{ id => 2001, lock => 'c', queue_name => 'b' }, { id => 2002, queue_name => 'a' },
		{ id => 2003, lock => 'c', queue_name => 'a' },
		{ id => 2004, lock => 'd', queue_name => 'a' });
	comes(
		$session, $revision, $fetch->(), '2001', "$function passes over many of one lock",
		(map { { id => $_, lock => 'x', %$later } } 1 .. 60),
		(map { { id => 1000 + $_, lock => 'x' } } 1 .. 60), { id => 2001, lock => 'y' });
	many_held_up_and_priority($session, $revision, $function, $fetch, $rule)
	  if has_priority($revision);
	return;
}

sub many_held_up_and_priority
{
	my ($session, $revision, $function, $fetch, $rule) = @_;
	my @many = pairs($revision, 60, { scheduled_at => '2999-01-01' });
	comes(
		$session, $revision, $fetch->(), '2003 2004 2002 2001',
		"$function goes by priority beyond many that are held up", @many,
		{ id => 2001, lock     => 'a', priority => -1 }, { id => 2002, lock => 'b' },
		{ id => 2003, priority => 2 }, { id => 2004, lock => 'c', priority => 2 },
		{ id => 2005, lock     => 'c', priority => 2 });
	comes(
		$session, $revision, $fetch->(),
		$rule eq 'priority, then id' ? '2001 2002' : '2001',
		"$function goes beyond many by its rule, that of $rule", @many,
		{ id => 2000, lock => 'a', scheduled_at => '2999-01-01' },
		{ id => 2001, lock => 'b', priority     => 1 }, { id => 2002, lock => 'a', priority => 1 });
	return if $revision < 27;
	comes(
		$session, $revision, $fetch->(),
		$rule eq 'id, also aborting' ? '2002' : '2001 2002',
		"$function goes beyond many by its rule for jobs that are aborting", @many,
		{ id => 2000, lock => 'a', status => 'aborting' }, { id => 2001, lock => 'a' },
		{ id => 2002, lock => 'b' });
	return;
}

# Pairs of jobs of one lock each, the first before the second in every order. Where there are
# priorities, theirs is above the others'.
sub pairs
{
	my ($revision, $number, $first, $second) = @_;
	my %priority = has_priority($revision) ? (priority => 3) : ();
	return map {
		{ id => $_, lock => "lock $_", %priority, %$first },
		  { id => 1000 + $_, lock => "lock $_", %priority, %{ $second // {} } }
	} 1 .. $number;
}

sub many_jobs
{
	my ($session, $revision, $function, $fetch, $rule, $number) = @_;
	my @jobs   = random_jobs($revision, $number);
	my %locked = $rule eq 'lock table' ? ('lock 2' => 1) : ();
	scenario(
		$session,
		sub {
			insert_jobs($session, $revision, @jobs);
			$session->query(q{INSERT INTO procrastinate_job_locks VALUES ('lock 2')})
			  if $rule eq 'lock table';
			my (@got, @expected);
			foreach my $round (1 .. 12)
			{
				my $queues = ('NULL', q{'{a}'}, q{'{b,c}'})[ $round % 3 ];
				push @got, "round $round: " . drained($session, $fetch->($queues));
				my @come;
				while (my $job = next_job(\@jobs, $queues, $rule, $revision, \%locked))
				{
					push @come, $job->{id};
					$job->{status} = 'doing';
					$locked{ $job->{lock} } = 1 if $rule eq 'lock table';
				}
				push @expected, "round $round: @come";

				# Half of the running jobs end, so that others follow.
				my @ended = grep { ($_->{id} + $round) % 2 }
				  grep { $_->{status} =~ /^(doing|aborting)$/ } @jobs;
				$_->{status} = 'failed' foreach @ended;
				my $ids = join ', ', 0, map { $_->{id} } @ended;
				$session->query(
					"UPDATE procrastinate_jobs SET status = 'failed' WHERE id IN ($ids)");
				next if $rule ne 'lock table';
				delete @locked{ map { $_->{lock} } @ended };
				$session->query(
					'DELETE FROM procrastinate_job_locks l USING procrastinate_jobs j'
					  . " WHERE l.object = j.lock AND j.id IN ($ids)");
			}
			same_lines(
				\@got, \@expected,
				"$function hands out a mixed lot of $number jobs by the rule of $rule");
			my $left = grep { $_->{status} eq 'todo' } @jobs;
			cmp_ok($left, '<', @jobs / 2, 'most of the jobs of that lot were runnable');
		});
	return;
}

# Jobs in every state, of few locks and queues; the same ones in every run. At most one job of a
# lock is running, and it is the first of those that have not ended.
sub random_jobs
{
	my ($revision, $number) = @_;
	my $seed   = 4711;
	my $random = sub {
		$seed = ($seed * 1103515245 + 12345) % 2147483648;
		return int($seed / 65536) % $_[0];
	};
	my @statuses = (qw(todo todo todo todo), statuses($revision));
	my (@jobs, %begun);
	foreach my $id (1 .. $number)
	{
		my %job  = (id => $id, queue_name => (qw(a b c))[ $random->(3) ]);
		my $lock = $random->($number / 7);
		$job{lock} = $lock < $number / 11 ? "lock $lock" : undef;
		$job{lock} //= "own lock of $id" if $revision < 8;
		$job{status}       = $statuses[ $random->(scalar @statuses) ];
		$job{priority}     = $random->(5) - 2 if $revision >= 25;
		$job{scheduled_at} = '2999-01-01'     if $random->(15) == 0;
		$job{scheduled_at} = '2001-01-01'     if $random->(15) == 0;

		if (defined $job{lock} and $job{status} =~ /^(todo|doing|aborting)$/)
		{
			$job{status} = 'todo' if $begun{ $job{lock} }++;
		}
		push @jobs, \%job;
	}
	return @jobs;
}

# The contract's answer to the question which job is next.
sub next_job
{
	my ($jobs, $queues, $rule, $revision, $locked) = @_;
	my @candidates = sort {
		($revision >= 25 ? $b->{priority} <=> $a->{priority} : 0) || $a->{id} <=> $b->{id}
	} grep { $_->{status} eq 'todo' } @$jobs;
	foreach my $job (@candidates)
	{
		next if $queues ne 'NULL' and $queues !~ /\b$job->{queue_name}\b/;
		next if ($job->{scheduled_at} // '')  =~ /^2999/;
		next if defined $job->{lock} and held_up($job, $jobs, $rule, $locked);
		return $job;
	}
	return;
}

sub held_up
{
	my ($job, $jobs, $rule, $locked) = @_;
	return $locked->{ $job->{lock} } if $rule eq 'lock table';
	my @others = grep { $_ != $job and ($_->{lock} // '') eq $job->{lock} } @$jobs;
	if ($rule eq 'priority, then id')
	{
		return scalar grep {
			$_->{status} eq 'doing'
			  or (
				$_->{status} eq 'todo'
				and (
					$_->{priority} > $job->{priority}
					or ($_->{priority} == $job->{priority} and $_->{id} < $job->{id})))
		} @others;
	}
	my $running = $rule eq 'id, also aborting' ? qr/^(todo|doing|aborting)$/ : qr/^(todo|doing)$/;
	return scalar grep { $_->{id} < $job->{id} and $_->{status} =~ $running } @others;
}
