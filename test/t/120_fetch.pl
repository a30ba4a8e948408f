# procrastinate_fetch_job of every revision: which job comes next, the returned row,
# the changed columns.

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
	my $before = called_before($session);
	foreach my $form (forms($revision, @fetches))
	{
		my (undef, undef, $function, $call) = @$form;
		my $fetch = sub { $call->($_[0] // 'NULL', $_[1] // 'NULL') };
		nothing_to_fetch($session, $revision, $function, $fetch);
		returned_row($session, $revision, $function, $fetch);
		order($session, $revision, $function, $fetch);
		queues($session, $revision, $function, $fetch);
		schedules($session, $revision, $function, $fetch);
		states($session, $revision, $function, $fetch);
		workers($session, $revision, $function, $fetch) if $function =~ /_v2$/;
	}
	all_called($session, $before, 'fetch', $revision);
	return;
}

sub nothing_to_fetch
{
	my ($session, $revision, $function, $fetch) = @_;
	is( $session->query('SELECT count(*), bool_and(j IS NULL) FROM ' . $fetch->() . ' AS j'),
		'1|t', "$function returns one row of NULLs if there is no job");
	is( $session->query('SELECT id, status, task_name, args FROM ' . $fetch->()),
		'NULL|NULL|NULL|NULL', "$function returns NULL in the columns that a worker reads");
	return;
}

sub returned_row
{
	my ($session, $revision, $function, $fetch) = @_;
	scenario(
		$session,
		sub {
			insert_jobs(
				$session, $revision,
				{   id       => 11, queue_name => 'mail', task_name => 'send',
					args     => '{"to": [1, null]}',
					attempts => 3, scheduled_at => '2020-02-02 02:02:02+00', lock => 'address' },
				{ id => 12, lock => 'other' });
			$session->query("UPDATE procrastinate_jobs SET queueing_lock = 'q' WHERE id = 11")
			  if $revision >= 7;
			$session->query('UPDATE procrastinate_jobs SET priority = 7 WHERE id = 11')
			  if $revision >= 25;
			$session->remember;
			my $returned = $session->query('SELECT to_jsonb(j) FROM ' . $fetch->() . ' AS j');
			my $expected =
			  $revision == 1 ? qr/^started_at=20\S+ status=doing$/ : qr/^status=doing$/;
			my %changes = $session->changes;
			like($changes{11}, $expected,
				"$function marks the job as doing and changes nothing else");
			is($changes{12}, '', "$function does not change the other job");
			is( $session->query(
						'SELECT '
					  . lit($returned)
					  . '::jsonb = to_jsonb(j)'
					  . ' FROM procrastinate_jobs j WHERE id = 11'),
				't',
				"$function returns the full row as it is after the fetch");
			is( $session->query('SELECT started_at = now() FROM procrastinate_jobs WHERE id = 11'),
				't', "$function sets started_at to now")
			  if $revision == 1;
		});
	return;
}

sub order
{
	my ($session, $revision, $function, $fetch) = @_;
	comes(
		$session, $revision, $fetch->(), '3 5 8 9', "$function goes by id, not by schedule",
		{ id => 5, scheduled_at => '2010-01-01' }, { id => 9 }, { id => 3 },
		{ id => 8, scheduled_at => '2000-01-01' });
	return if not has_priority($revision);
	comes(
		$session, $revision, $fetch->(), '4 2 6 1 3 5',
		"$function goes by priority, highest first, then by id",
		{ id => 1, priority => 0 }, { id => 2, priority => 5 }, { id => 3, priority => -1 },
		{ id => 4, priority => 2147483647 }, { id => 5, priority => -2147483648 },
		{ id => 6, priority => 5 });
	return;
}

sub queues
{
	my ($session, $revision, $function, $fetch) = @_;
	my @jobs  = map { { id => $_, queue_name => (qw(a b c b a))[ $_ - 1 ] } } 1 .. 5;
	my @cases = (
		[ 'NULL',                       '1 2 3 4 5', 'any queue for NULL' ],
		[ q{ARRAY['b']},                '2 4',       'jobs of one given queue' ],
		[ q{ARRAY['c','a']::varchar[]}, '1 3 5',     'several queues, in the order of jobs' ],
		[ q{'{b,c}'},                   '2 3 4',     'queues given as an array literal' ],
		[ q{ARRAY['d']},                '',          'no job for a queue without jobs' ],
		[ q{ARRAY['B']},                '',          'no job for a queue spelled differently' ],
		[ q{'{}'},                      '',          'no job for an empty array of queues' ]);
	foreach my $case (@cases)
	{
		my ($argument, $expected, $name) = @$case;
		comes(
			$session,  $revision,                 $fetch->($argument),
			$expected, "$function fetches $name", @jobs);
	}
	return;
}

sub schedules
{
	my ($session, $revision, $function, $fetch) = @_;
	comes(
		$session, $revision, $fetch->(), '2 4 5 6',
		"$function does not fetch jobs scheduled for later",
		{ id => 1, scheduled_at => '2999-01-01' }, { id => 2, scheduled_at => '2001-01-01' },
		{ id => 3, scheduled_at => 'infinity' },   { id => 4 },
		{ id => 5, scheduled_at => 'now' },        { id => 6, scheduled_at => '-infinity' });
	return;
}

sub states
{
	my ($session, $revision, $function, $fetch) = @_;
	my $id = 0;
	comes(
		$session, $revision, $fetch->(), '1', "$function fetches jobs that are todo, no others",
		map { { id => ++$id, status => $_ } } statuses($revision));
	return;
}

sub workers
{
	my ($session, $revision, $function, $fetch) = @_;
	scenario(
		$session,
		sub {
			insert_jobs($session, $revision, { id => 1 }, { id => 2 }, { id => 3 });
			my $worker =
			  $session->query('SELECT worker_id FROM procrastinate_register_worker_v1()');
			is( $session->query('SELECT id, worker_id FROM ' . $fetch->(undef, $worker)),
				"1|$worker", "$function stores the worker");
			is( $session->query('SELECT id, worker_id FROM ' . $fetch->()),
				'2|NULL', "$function takes NULL for a worker");
			is( $session->query('SELECT id, worker_id FROM procrastinate_jobs ORDER BY id'),
				"1|$worker\n2|NULL\n3|NULL",
				"$function stores the worker in the job that it fetched");
			like(
				$session->refusal('SELECT id FROM ' . $fetch->(undef, '999999')),
				qr/^23503: /, "$function refuses a worker that is not registered");
		});
	return;
}
