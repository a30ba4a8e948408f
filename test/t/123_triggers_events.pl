# The triggers of every revision that write: what they put into procrastinate_events, and what
# becomes of records that point to a deleted job. What they tell listening workers is tested apart.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node = start_server();
walk_revisions($node, \&visit);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my $before = called_before($session);
	events_of_inserts($session, $revision);
	events_of_status($session, $revision);
	events_of_schedules($session, $revision);
	events_of_abort_requests($session, $revision) if $revision >= 30;
	events_of_a_life($session, $revision);
	deletion($session, $revision);
	old_cancellation($session) if $revision == 30;
	all_called($session, $before, 'triggers', $revision);
	return;
}

# ------------------------------------------------------------------------------------------------
# Events
# ------------------------------------------------------------------------------------------------

# The types of the events of a job, sorted, or '' where there is none.
sub events
{
	my ($session, $id) = @_;
	my $types = $session->query(
		q{SELECT string_agg(type::text, ' ' ORDER BY type::text COLLATE "C")}
		  . " FROM procrastinate_events WHERE job_id = $id");
	return $types eq 'NULL' ? '' : $types;
}

# The events of many jobs at once: 'name: types'. Names are given by the jobs' ids.
sub events_of_all
{
	my ($session, $names) = @_;
	my %events = map { split /\|/, $_, 2 } split /\n/, $session->query(
		q{SELECT job_id, string_agg(type::text, ' ' ORDER BY type::text COLLATE "C")}
		  . ' FROM procrastinate_events GROUP BY job_id');
	return map { "$names->{$_}: " . ($events{$_} // '') } sort { $a <=> $b } keys %$names;
}

sub event_of_insert
{
	my ($revision, $status) = @_;
	return $status eq 'doing' ? 'deferred' : '' if $revision < 6;
	return $status eq 'todo' ? 'deferred' : '';
}

sub event_of_change
{
	my ($revision, $old, $new) = @_;
	my %event = (
		'todo doing'      => 'started',
		'doing todo'      => 'deferred_for_retry',
		'doing failed'    => 'failed',
		'doing succeeded' => 'succeeded',
		'todo failed'     => 'cancelled',
		'todo succeeded'  => 'cancelled');
	%event = (%event, 'todo cancelled' => 'cancelled', 'doing aborted' => 'aborted')
	  if $revision >= 27;
	%event = (%event, 'doing aborting' => 'abort_requested', 'aborting aborted' => 'aborted')
	  if $revision >= 27 and $revision <= 30;
	$event{'failed todo'} = 'retried' if $revision >= 38;
	return $event{"$old $new"} // '';
}

sub events_of_inserts
{
	my ($session, $revision) = @_;
	scenario($session, sub {
		my (%names, @jobs, @expected);
		foreach my $status (statuses($revision))
		{
			foreach my $at (undef, '2001-01-01', '2999-01-01')
			{
				my $id = @jobs + 1;
				push @jobs, { id => $id, status => $status, scheduled_at => $at };
				$names{$id} = "$status, scheduled " . ($at // 'NULL');
				my @types = grep { $_ ne '' } event_of_insert($revision, $status),
				  $at && $status eq 'todo' ? 'scheduled' : '';
				push @expected, "$names{$id}: @types";
			}
		}
		insert_jobs($session, $revision, @jobs);
		same_lines([ events_of_all($session, \%names) ], \@expected,
			'an insert writes the events that are due for its status and schedule');
		is($session->query(q{SELECT count(*) FROM procrastinate_events WHERE type <> 'scheduled'}
				  . ' AND at IS DISTINCT FROM now()'),
			'0', 'events carry the time of the transaction');
	});
	return;
}

sub events_of_status
{
	my ($session, $revision) = @_;
	scenario($session, sub {
		my (%names, @jobs, @expected, @updates);
		foreach my $old (statuses($revision))
		{
			foreach my $new (statuses($revision))
			{
				my $id = @jobs + 1;
				push @jobs, { id => $id, status => $old };
				$names{$id} = "$old to $new";
				push @updates, "UPDATE procrastinate_jobs SET status = '$new' WHERE id = $id";
				push @expected, "$names{$id}: " . event_of_change($revision, $old, $new);
			}
		}
		insert_jobs($session, $revision, @jobs);
		$session->query('DELETE FROM procrastinate_events');
		$session->query(join ";\n", @updates);
		same_lines([ events_of_all($session, \%names) ], \@expected,
			'a change of status writes the event that is due');

		$session->query('DELETE FROM procrastinate_events');
		$session->query(q{UPDATE procrastinate_jobs SET attempts = 5, task_name = 'x'});
		is($session->query('SELECT count(*) FROM procrastinate_events'),
			'0', 'an update of other columns writes no event');
	});
	return;
}

sub events_of_schedules
{
	my ($session, $revision) = @_;
	scenario($session, sub {
		insert_jobs($session, $revision,
			{ id => 1, scheduled_at => '2040-04-04 04:04:04+00' }, { id => 2 },
			{ id => 3, status => 'doing', scheduled_at => '2040-04-04' });
		my $at = q{SELECT string_agg(at::text, ', ' ORDER BY id) FROM procrastinate_events}
		  . q{ WHERE type = 'scheduled' AND job_id = };
		is($session->query("$at 1"), '2040-04-04 04:04:04+00',
			'an insert with a schedule writes the event scheduled');
		$session->query(q{UPDATE procrastinate_jobs SET scheduled_at = '2041-01-01'}
			  . ' WHERE id IN (1, 2)');
		is($session->query("$at 1"), '2040-04-04 04:04:04+00, 2041-01-01 00:00:00+00',
			'an update of the schedule writes an event');
		is($session->query("$at 2"), '2041-01-01 00:00:00+00',
			'a schedule set by an update writes an event');
		$session->query('UPDATE procrastinate_jobs SET attempts = attempts + 1');
		is($session->query("$at 2"), '2041-01-01 00:00:00+00, 2041-01-01 00:00:00+00',
			'any update of a waiting job with a schedule writes an event');
		is($session->query("$at 3"), 'NULL', 'a running job gets no event scheduled');
		$session->query(q{UPDATE procrastinate_jobs SET status = 'todo' WHERE id = 3});
		is($session->query("$at 3"), '2040-04-04 00:00:00+00',
			'a job that is put back with a schedule gets one');
		$session->query(q{UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = 1});
		is($session->query("$at 1"),
			'2040-04-04 04:04:04+00, 2041-01-01 00:00:00+00, 2041-01-01 00:00:00+00',
			'removing the schedule writes no event');
	});
	return;
}

sub events_of_abort_requests
{
	my ($session, $revision) = @_;
	my $event = $revision >= 31 ? 'abort_requested' : '';
	scenario($session, sub {
		insert_jobs($session, $revision, map { { id => $_, status => 'doing' } } 1 .. 4);
		insert_jobs($session, $revision, { id => 5 }, { id => 6 });
		$session->query('DELETE FROM procrastinate_events');
		$session->query('UPDATE procrastinate_jobs SET abort_requested = true WHERE id IN (1, 2)');
		is(events($session, 1), $event, 'a request to abort writes its event from 0031 on');
		$session->query('UPDATE procrastinate_jobs SET abort_requested = true WHERE id = 2');
		is(events($session, 2), $event eq '' ? '' : "$event $event",
			'a repeated request writes it again');
		$session->query('UPDATE procrastinate_jobs SET abort_requested = false WHERE id IN (2, 3)');
		is(events($session, 3), '', 'an update without a request writes no event');
		$session->query('UPDATE procrastinate_jobs SET attempts = 1 WHERE id = 1');
		is(events($session, 1), $event, 'an update of another column writes no event');
		$session->query('SELECT procrastinate_cancel_job_v1(4, true, false)');
		is(events($session, 4), $event, 'procrastinate_cancel_job_v1 on a running job');
		$session->query('SELECT procrastinate_cancel_job_v1(5, true, false)');
		is(events($session, 5), $event eq '' ? 'cancelled' : "$event cancelled",
			'procrastinate_cancel_job_v1 with abort on a waiting job');
		$session->query('SELECT procrastinate_cancel_job_v1(6, false, false)');
		is(events($session, 6), 'cancelled', 'procrastinate_cancel_job_v1 on a waiting job');
	});
	return;
}

# The trail of a job that fails once, is put back for later, and succeeds.
sub events_of_a_life
{
	my ($session, $revision) = @_;
	my $fetch =
	  $revision < 30 ? 'procrastinate_fetch_job(NULL)'
	  : newest_call('procrastinate_fetch_job', $revision);
	my $past      = q{'2001-01-01 00:00:00+00'};
	my %values_of = (
		bigint                     => '%d',
		boolean                    => 'false',
		procrastinate_job_status   => q{'succeeded'},
		'timestamp with time zone' => $past);
	my $retry =
	    $revision < 14 ? "procrastinate_finish_job(%d, 'todo', $past)"
	  : $revision < 30 ? "procrastinate_retry_job(%d, $past)"
	  : newest_call('procrastinate_retry_job', $revision, %values_of);
	my $finish =
	    $revision < 14 ? q{procrastinate_finish_job(%d, 'succeeded', NULL)}
	  : $revision < 16 ? q{procrastinate_finish_job(%d, 'succeeded')}
	  : $revision < 19 ? q{procrastinate_finish_job(%d, 'succeeded', false)}
	  : $revision < 23 ? q{procrastinate_finish_job(%d, 'succeeded', NULL, false)}
	  : $revision < 30 ? q{procrastinate_finish_job(%d, 'succeeded', false)}
	  : newest_call('procrastinate_finish_job', $revision, %values_of);
	my $id = defer($session, $revision);
	foreach my $call ($fetch, $retry, $fetch, $finish)
	{
		$session->query('SELECT * FROM ' . sprintf $call, $id);
	}
	my @expected = qw(started deferred_for_retry scheduled started succeeded);
	unshift @expected, 'deferred' if $revision >= 6;
	is(events($session, $id), join(' ', sort @expected),
		'deferred, fetched, put back, fetched, finished: each has its event');
	is($session->query("SELECT status, attempts FROM procrastinate_jobs WHERE id = $id"),
		'succeeded|2', 'the job counts two attempts');
	is($session->query("SELECT type FROM procrastinate_events WHERE job_id = $id"
			  . ' ORDER BY id DESC LIMIT 1'),
		'succeeded', 'the event of the last change is the last one');
	$session->query('DELETE FROM procrastinate_jobs');
	return;
}

# ------------------------------------------------------------------------------------------------
# Deletion, and the bridge between old and new cancellation
# ------------------------------------------------------------------------------------------------

sub deletion
{
	my ($session, $revision) = @_;
	scenario($session, sub {
		insert_jobs($session, $revision, { id => 1 }, { id => 2, status => 'doing' });
		$session->query('UPDATE procrastinate_jobs SET attempts = 1');
		$session->query('DELETE FROM procrastinate_jobs WHERE id = 2');
		is(events($session, 2), '', 'the events of a deleted job are deleted');
	});
	return if $revision < 10;

	my ($queue, $value) = $revision =~ /^(1[2-9]|20)$/ ? (', queue_name', q{, 'q'}) : ('', '');
	my %ways = ('a plain DELETE' => 'DELETE FROM procrastinate_jobs WHERE id = 1');
	$ways{'the end of its run'} =
	    $revision == 30 ? q{SELECT procrastinate_finish_job(1::bigint, 'failed', true)}
	  : $revision > 30  ? q{SELECT procrastinate_finish_job_v1(1, 'failed', true)}
	  : $revision >= 19
	  && $revision < 23 ? q{SELECT procrastinate_finish_job(1, 'failed', NULL, true)}
	  : q{SELECT procrastinate_finish_job(1, 'failed', true)}
	  if $revision >= 16;
	$ways{'cancellation'} = 'SELECT procrastinate_cancel_job'
	  . ($revision > 30 ? '_v1' : '') . '(1, false, true)'
	  if $revision >= 27;
	foreach my $way (sort keys %ways)
	{
		scenario($session, sub {
			insert_jobs($session, $revision, { id => 1 }, { id => 2 });
			$session->query('INSERT INTO procrastinate_periodic_defers'
				  . " (task_name, defer_timestamp, job_id$queue) VALUES ('a', 1, 1$value),"
				  . " ('a', 2, 2$value), ('b', 1, 1$value), ('b', 2, NULL$value)");
			if ($revision < 15)
			{
				like($session->refusal($ways{$way}), qr/^23503: /,
					"$way of a job that a periodic record points to is refused");
				return;
			}
			$session->query($ways{$way});
			is($session->query('SELECT string_agg(task_name || defer_timestamp || \'=\' ||'
					  . " coalesce(job_id::text, 'none'), ' ' ORDER BY id)"
					  . ' FROM procrastinate_periodic_defers'),
				'a1=none a2=2 b1=none b2=none',
				"$way of a job keeps the periodic records and unlinks those that point to it");
			is($session->query('SELECT string_agg(id::text, \' \') FROM procrastinate_jobs'),
				'2', "$way of a job deletes that job");
		});
	}
	return;
}

# At 0030 an old client's cancellation is seen by new workers.
sub old_cancellation
{
	my ($session) = @_;
	my $row = 'SELECT status, abort_requested FROM procrastinate_jobs WHERE id = 1';
	scenario($session, sub {
		insert_jobs($session, 30, { id => 1, status => 'doing' }, { id => 2, status => 'doing' });
		$session->query('SELECT procrastinate_cancel_job(1, true, false)');
		is($session->query($row), 'aborting|t', 'the old cancellation requests the abort as well');
		is(events($session, 1), 'abort_requested', 'the old cancellation writes one event');
		$session->query(q{SELECT procrastinate_finish_job(1::bigint, 'aborted', false)});
		is($session->query($row), 'aborted|t', 'the request stays when an old worker ends the job');
		$session->query(q{UPDATE procrastinate_jobs SET status = 'doing' WHERE id = 2});
		is($session->query('SELECT abort_requested FROM procrastinate_jobs WHERE id = 2'),
			'f', 'another change of status requests nothing');
	});
	return;
}
