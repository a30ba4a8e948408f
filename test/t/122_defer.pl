# procrastinate_defer_job and procrastinate_defer_jobs of every revision: the rows that they write
# and the values that they return.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $NEW = q{(procrastinate_defer_jobs_v1(ARRAY[(%s)::procrastinate_job_to_defer_v1]))[1]};

# First and last revision, name for the tests, the call, whether it takes a priority. The call's
# arguments are those of the newest form.
my @defers = (
	[ 9,  9,     'procrastinate_defer_job with json',     \&without_priority,                   0 ],
	[ 10, 30,    'procrastinate_defer_job',               \&without_priority,                   0 ],
	[ 25, 30,    'procrastinate_defer_job with priority', with('procrastinate_defer_job'),      1 ],
	[ 30, 34,    'procrastinate_defer_job_v1',            with('procrastinate_defer_job_v1'),   1 ],
	[ 34, undef, 'procrastinate_defer_jobs_v1', sub { sprintf $NEW, join ', ', arguments(@_) }, 1 ],
);

my $node = start_server();
walk_revisions($node, \&visit);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my $before = called_before($session);
	queueing_lock($session, $revision, 'a client of this revision', sub { deferral($revision, @_) })
	  if $revision >= 7;
	foreach my $form (forms($revision, @defers))
	{
		my (undef, undef, $name, $call, $takes_priority) = @$form;
		rows($session, $revision, $name, $call, $takes_priority);
		queueing_lock($session, $revision, $name, sub { 'SELECT ' . $call->(@_) });
	}
	several_at_once($session) if $revision >= 34;
	all_called($session, $before, 'defer', $revision);
	return;
}

# ------------------------------------------------------------------------------------------------
# Calls
# ------------------------------------------------------------------------------------------------

# The arguments of a deferral as SQL, from a hash.
sub arguments
{
	my (%job) = @_;
	my %value = (queue => 'default', task => 'task', priority => 0, args => '{}', %job);
	return map { lit($value{$_}) } qw(queue task priority lock queueing_lock args scheduled_at);
}

sub with
{
	my ($function) = @_;
	return sub { call_of($function, arguments(@_)) };
}

sub without_priority
{
	my @arguments = arguments(@_);
	splice @arguments, 2, 1;
	return call_of('procrastinate_defer_job', @arguments);
}

# The statement by which clients of the two revisions without deferring function do it.
sub deferral
{
	my ($revision, %job) = @_;
	my %value = (lock => 'lock of ' . rand(), %job);
	return q{INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock)}
	  . " VALUES ('default', 'task', @{[ lit($value{lock}) ]}, @{[ lit($value{queueing_lock}) ]})"
	  . ' RETURNING id';
}

# ------------------------------------------------------------------------------------------------
# Jobs
# ------------------------------------------------------------------------------------------------

sub rows
{
	my ($session, $revision, $name, $call, $takes_priority) = @_;
	my %all = (
		queue         => q{it's}, task => 'module.task "x"', priority => -3, lock => 'l',
		queueing_lock => 'q',     args => '{"a": [1, {"b": null}], "c": "\u00e9"}',
		scheduled_at  => '2031-01-01 00:00:00+00');
	my $columns = 'queue_name, task_name, lock, queueing_lock, args, scheduled_at, status';
	$columns .= ', attempts';
	$columns .= ', priority' if $revision >= 25;
	scenario(
		$session,
		sub {
			my @ids      = map { $session->query("SELECT $_") } $call->(%all), $call->();
			my $priority = $revision < 25 ? '' : $takes_priority ? '|-3' : '|0';
			is( $session->query("SELECT $columns FROM procrastinate_jobs WHERE id = $ids[0]"),
				qq(it's|module.task "x"|l|q|{"a": [1, {"b": null}], "c": "\xc3\xa9"})
				  . "|2031-01-01 00:00:00+00|todo|0$priority",
				"$name writes its arguments and returns the job's id");
			$priority = $revision < 25 ? '' : '|0';
			is( $session->query("SELECT $columns FROM procrastinate_jobs WHERE id = $ids[1]"),
				"default|task|NULL|NULL|{}|NULL|todo|0$priority",
				"$name takes NULL for locks and schedule");
			is($session->query('SELECT count(*) FROM procrastinate_jobs'), '2',
				"$name writes one job");
		});
	return;
}

# Clients know the violation by the name of the index.
sub queueing_lock
{
	my ($session, $revision, $name, $statement) = @_;
	my $index = 'procrastinate_jobs_queueing_lock_idx' . ($revision >= 31 ? '_v1' : '');
	my $sql   = $statement->(queueing_lock => 'only one');
	scenario(
		$session,
		sub {
			my $id = $session->query($sql);
			$session->query('SAVEPOINT before');
			is( $session->refusal($sql),
				qq(23505: duplicate key value violates unique constraint "$index"),
				"$name refuses a second waiting job of one queueing lock");
			$session->query('ROLLBACK TO before');
			$session->query("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = $id");
			like($session->query($sql), qr/^\d+$/,
				"$name defers the next job while the first runs");
		});
	return;
}

sub several_at_once
{
	my ($session) = @_;
	my $jobs = sub {
		return 'ARRAY[' . join(', ', map { "($_)::procrastinate_job_to_defer_v1" } @_) . ']';
	};
	scenario(
		$session,
		sub {
			my @jobs =
			  map { join ', ', arguments(task => "t$_", priority => $_ % 5) } reverse 1 .. 60;
			my $ids = $session->query('SELECT procrastinate_defer_jobs_v1(' . $jobs->(@jobs) . ')');
			is( $session->query(
					'SELECT string_agg(task_name, \' \' ORDER BY ordinality)'
					  . " FROM unnest('$ids'::bigint[]) WITH ORDINALITY AS u (id, ordinality)"
					  . ' JOIN procrastinate_jobs USING (id)'),
				join(' ', map { "t$_" } reverse 1 .. 60),
				'procrastinate_defer_jobs_v1 returns the ids in the order of the array');
			is( $session->query(
					q{SELECT string_agg(task_name, ' ' ORDER BY id)}
					  . ' FROM procrastinate_jobs'),
				join(' ', map { "t$_" } reverse 1 .. 60),
				'procrastinate_defer_jobs_v1 queues the jobs in the order of the array');
			is( $session->query(q{SELECT procrastinate_defer_jobs_v1('{}') IS NULL}),
				't', 'procrastinate_defer_jobs_v1 returns NULL for an empty array');
			is( $session->query('SELECT count(*) FROM procrastinate_jobs'),
				'60', 'procrastinate_defer_jobs_v1 writes one job an element');
			my @twice = map { join ', ', arguments(queueing_lock => $_) } qw(a b a);
			$session->query('SAVEPOINT before');
			is( $session->refusal('SELECT procrastinate_defer_jobs_v1(' . $jobs->(@twice) . ')'),
				'23505: duplicate key value violates unique constraint'
				  . ' "procrastinate_jobs_queueing_lock_idx_v1"',
				'procrastinate_defer_jobs_v1 refuses a queueing lock given twice');
			$session->query('ROLLBACK TO before');
			is( $session->query('SELECT count(*) FROM procrastinate_jobs'),
				'60', 'procrastinate_defer_jobs_v1 writes all jobs or none');
		});
	return;
}
