# The notifications that workers get at every revision: of deferred jobs, and of requests to abort.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $QUEUE = q{mail & "co"'s};

my $node     = start_server();
my %listener = ();
walk_revisions($node, \&visit);
$_->close foreach values %listener;
done_testing();

sub visit
{
	my ($session, $revision, undef, $schema, $database) = @_;
	my $before = called_before($session);
	my $ear    = $listener{$schema} //= listening($database, $schema);
	$ear->notifications;
	heard_of_new_jobs($session, $revision, $ear);
	heard_of_aborts($session, $revision, $ear);
	all_called($session, $before, 'notifications', $revision);
	return;
}

# A session that listens as workers of all times do, and to a queue that nobody uses.
sub listening
{
	my ($database, $schema) = @_;
	my $session = new_session($node, $database, $schema);
	foreach my $queue ($QUEUE, 'elsewhere')
	{
		$session->query('LISTEN ' . name("procrastinate_queue#$queue"));
		$session->query('LISTEN ' . name("procrastinate_queue_v1#$queue"));
	}
	$session->query('LISTEN procrastinate_any_queue; LISTEN procrastinate_any_queue_v1');
	return $session;
}

# Notifications as 'channel payload', sorted; payloads of the new channels are read as JSON and
# written with sorted keys.
sub heard
{
	my ($ear) = @_;
	my $json = JSON::PP->new->canonical->utf8;
	my @lines;
	foreach my $line ($ear->notifications)
	{
		if ($line =~ /^(procrastinate_any_queue_v1|procrastinate_queue_v1#.*?) (\{.*)$/)
		{
			my ($channel, $payload) = ($1, $2);
			my $value = eval { $json->decode($payload) };
			$line = "$channel " . ($value ? $json->encode($value) : "no JSON: $payload");
		}
		push @lines, $line;
	}
	return sort @lines;
}

# The notifications that workers should get of one event: old channels with the old payload, new
# channels with the new one.
sub due
{
	my ($revision, $task, %message) = @_;
	my @lines;
	push @lines, map { "$_ $task" } "procrastinate_queue#$QUEUE", 'procrastinate_any_queue'
	  if $revision <= 30 and defined $task;
	push @lines, map { qq($_ {"job_id":$message{job_id},"type":"$message{type}"}) }
	  "procrastinate_queue_v1#$QUEUE", 'procrastinate_any_queue_v1'
	  if $revision >= 30;
	return @lines;
}

sub heard_of_new_jobs
{
	my ($session, $revision, $ear) = @_;
	my $id = defer($session, $revision, queue => $QUEUE, task => q(send "it's" {}));
	same_lines([ heard($ear) ],
		[ sort(due($revision, q(send "it's" {}), type => 'job_inserted', job_id => $id)) ],
		'a deferred job sends one notification on its queue and one on any queue');

	$id = defer($session, $revision,
		queue => $QUEUE, task => 'later', scheduled_at => '2999-01-01');
	same_lines([ heard($ear) ],
		[ sort(due($revision, 'later', type => 'job_inserted', job_id => $id)) ],
		'a job scheduled for later sends a notification when it is deferred');

	insert_jobs($session, $revision,
		map { { id => 1000 + $_, queue_name => $QUEUE, task_name => "t$_" } } 1 .. 3);
	same_lines([ heard($ear) ],
		[ sort(map { due($revision, "t$_", type => 'job_inserted', job_id => 1000 + $_) } 1 .. 3) ],
		'each of several jobs sends a notification');

	my $number = 2000;
	insert_jobs($session, $revision,
		map { { id => ++$number, queue_name => $QUEUE, status => $_ } }
		grep { $_ ne 'todo' } statuses($revision));
	same_lines([ heard($ear) ], [], 'jobs that are not waiting send no notification');

	$session->query('BEGIN');
	defer($session, $revision, queue => $QUEUE);
	same_lines([ heard($ear) ], [], 'no notification arrives before the commit');
	$session->query('ROLLBACK');
	same_lines([ heard($ear) ], [], 'a job that is rolled back sends no notification');

	$session->query(q{UPDATE procrastinate_jobs SET status = 'failed', attempts = 4});
	$session->query(q{UPDATE procrastinate_jobs SET status = 'todo'});
	$session->query('DELETE FROM procrastinate_jobs');
	same_lines([ heard($ear) ], [], 'updates and deletions send no notification');
	return;
}

sub heard_of_aborts
{
	my ($session, $revision, $ear) = @_;
	if ($revision >= 27 and $revision <= 30)
	{
		insert_jobs($session, $revision, { id => 3000, queue_name => $QUEUE, status => 'doing' });
		$session->query('SELECT procrastinate_cancel_job(3000, true, false)');
		same_lines([ heard($ear) ], [],
			'the old cancellation of a running job sends no notification');
	}
	$session->query('DELETE FROM procrastinate_jobs');
	return if $revision < 30;
	my @abort = (type => 'abort_job_requested', job_id => 3001);
	insert_jobs($session, $revision, { id => 3001, queue_name => $QUEUE, status => 'doing' },
		{ id => 3002, queue_name => $QUEUE, status => 'todo' });
	heard($ear);
	$session->query('SELECT procrastinate_cancel_job_v1(3001, true, false)');
	same_lines([ heard($ear) ], [ sort(due($revision, undef, @abort)) ],
		'a request to abort a running job sends a notification on its queue and on any queue');
	$session->query('SELECT procrastinate_cancel_job_v1(3001, true, false)');
	same_lines([ heard($ear) ], [], 'a repeated request sends no second notification');
	$session->query('SELECT procrastinate_cancel_job_v1(3002, true, false)');
	same_lines([ heard($ear) ], [], 'the cancellation of a waiting job sends no notification');
	$session->query(q{UPDATE procrastinate_jobs SET abort_requested = false WHERE id = 3001});
	same_lines([ heard($ear) ], [], 'the removal of a request sends no notification');
	$session->query(q{UPDATE procrastinate_jobs SET abort_requested = true WHERE id = 3001});
	same_lines([ heard($ear) ], [ sort(due($revision, undef, @abort)) ],
		'a request made by a plain update sends a notification');
	$session->query(q{SELECT procrastinate_finish_job_v1(3001, 'aborted', false)});
	same_lines([ heard($ear) ], [], 'the end of an aborted job sends no notification');
	$session->query('DELETE FROM procrastinate_jobs');
	return;
}
