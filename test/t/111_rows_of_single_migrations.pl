# Single migrations and rows: 0004 and 0008 accept that the table they drop is missing, 0031 changes
# aborting jobs without events and notifications, 0012 gives older records a queue.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);

subtest 'a table that the migration drops may be missing'   => \&tables_gone;
subtest 'aborting jobs become doing, without notifications' => \&aborting_jobs;
subtest 'records of 0011 get the queue undefined at 0012'   => \&queue_undefined;
done_testing();

# A schema at a revision, with a session in it; the code gets the session.
sub with_schema
{
	my ($revision, $code) = @_;
	my $schema = "at $revision";
	upgrade($node, $database, $revision, $schema);
	my $session = new_session($node, $database, $schema);
	$code->($session, $schema);
	$session->close;
	$node->safe_psql(
		$database,
		'SET client_min_messages = warning; DROP SCHEMA ' . name($schema) . ' CASCADE');
	return;
}

sub tables_gone
{
	foreach my $case ([ 3, 'procrastinate_version' ], [ 7, 'procrastinate_job_locks' ])
	{
		my ($revision, $table) = @$case;
		my $next = revision_name($revision + 1);
		foreach my $call ("SELECT public.procrastinate_upgrade('$next', %s)",
			"CALL public.procrastinate_migrate('$next', %s)")
		{
			with_schema(
				$revision,
				sub {
					my ($session, $schema) = @_;
					$session->query("DROP TABLE $table");
					is($session->refusal(sprintf $call, lit($schema)), 'no error',
						"$call succeeds where $table is gone");
					is_at($node, $database, $schema, $revision + 1,
						"$call: the schema is at $next");
				});
		}
	}
	return;
}

# 0031: by one step and on the way to head; neither events nor notifications.
sub aborting_jobs
{
	foreach my $case ([ 27, 'head' ], [ 29, 'head' ], [ 30, '0031' ])
	{
		foreach my $way ('SELECT procrastinate_upgrade', 'CALL procrastinate_migrate')
		{
			with_schema($case->[0], sub { aborting_jobs_of(@$case, $way, @_) });
		}
	}
	return;
}

sub aborting_jobs_of
{
	my ($start, $stop, $way, $session, $schema) = @_;
	my $what = "$way from " . revision_name($start) . " to $stop";
	insert_jobs(
		$session, $start,
		(map { { id => $_, status => 'doing', lock => "lock $_" } } 1 .. 40),
		(map { { id => $_, status => 'todo',  lock => "lock $_" } } 41 .. 60));
	$session->query(
		'SELECT procrastinate_cancel_job(g, true, false)'
		  . ' FROM generate_series(1, 20) AS g');
	my $events   = 'SELECT count(*), max(id) FROM procrastinate_events';
	my $expected = $session->query($events);
	my $jobs     = q{SELECT md5(string_agg(concat_ws('/', id, lock, task_name, queue_name,}
	  . q{ args, attempts, scheduled_at, priority, queueing_lock), ' ' ORDER BY id)),}
	  . ' count(*) FROM procrastinate_jobs';
	my $before = $session->query($jobs);
	my $ear    = new_session($node, $database, $schema);
	$ear->query("LISTEN $_")
	  foreach qw(procrastinate_any_queue procrastinate_any_queue_v1),
	  map { name("$_#default") } qw(procrastinate_queue procrastinate_queue_v1);
	$node->safe_psql(
		$database, 'SET client_min_messages = warning; '
		  . call_of(
			$way, lit($stop), 'schema => ' . lit($schema),
			$way =~ /^CALL/ ? 'force => true' : ()));

	# Those that wake workers once the barrier is gone are for no job.
	same_lines(
		[ grep { !/ procrastinate_migrate$|"job_inserted", "job_id": 0}$/ } $ear->notifications ],
		[], "$what: no notification is sent");
	$ear->close;
	is($session->query($events), $expected, "$what: no event is written");
	is($session->query($jobs),   $before,   "$what: nothing else changes in the jobs");
	is( $session->query(
			'SELECT status, abort_requested, count(*), min(id), max(id)'
			  . ' FROM procrastinate_jobs GROUP BY 1, 2 ORDER BY 1, 2'),
		"todo|f|20|41|60\ndoing|f|20|21|40\ndoing|t|20|1|20",
		"$what: the jobs that were aborting are doing, with the abort requested");
	$session->query(q{SELECT procrastinate_finish_job_v1(1, 'aborted', false)});
	is( $session->query(
			'SELECT status, abort_requested FROM procrastinate_jobs'
			  . ' WHERE id = 1'),
		'aborted|f',
		"$what: the worker that runs such a job can end it");
	return;
}

# 0012: records from before belong to queue 'undefined', new ones must name theirs.
sub queue_undefined
{
	with_schema(
		11,
		sub {
			my ($session, $schema) = @_;
			$session->query(q{SELECT procrastinate_defer_periodic_job('q', 'task', 100)});
			upgrade($node, $database, 12, $schema);
			is( $session->query(
					'SELECT task_name, queue_name, defer_timestamp'
					  . ' FROM procrastinate_periodic_defers'),
				'task|undefined|100',
				'a periodic record of 0011 has queue undefined at 0012');
			like(
				$session->refusal(
					'INSERT INTO procrastinate_periodic_defers (task_name)'
					  . q{ VALUES ('t')}),
				qr/^23502: /,
				'a periodic record of 0012 must name its queue');
		});
	return;
}
