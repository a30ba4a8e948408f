# The calls that Procrastinate's functions fail on and ours do not: what ours do, at each revision
# that docs/differences.md names. The table in that file and the list here have the same rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

# First and last revision, function, its test.
my @differences = (
	[ 1,  1,     'procrastinate_fetch_job',          \&fetch_without_lock ],
	[ 12, 22,    'procrastinate_defer_periodic_job', \&tick_of_null ],
	[ 37, undef, 'procrastinate_retry_job_v2',       \&retry_of_aborted_job ],);

my @rows;
foreach my $row (slurp(repository() . '/docs/differences.md') =~ /^\| `(procrastinate_.*)$/mg)
{
	my ($function, $first, $last) = $row =~ /^(\w+)[^|]*\| ([0-9]{4}) (?:to (\w+) )?\|/;
	push @rows, "$function " . ($first // '?') . '-' . ($last // $first // '?');
}
is_deeply(
	\@rows,
	[   map { sprintf '%s %04d-%s', $_->[2], $_->[0], $_->[1] ? sprintf '%04d', $_->[1] : 'head' }
		  @differences ],
	'docs/differences.md lists the differences that are tested here');

my $node = start_server();
walk_revisions($node, \&visit);
done_testing();

sub visit
{
	my ($session, $revision) = @_;
	my @here = forms($revision, @differences);
	foreach my $difference (@here)
	{
		scenario($session, sub { $difference->[3]->($session, $revision) });
	}
	pass('no difference') if not @here;
	return;
}

# The lock table of 0001 does not take NULL.
sub fetch_without_lock
{
	my ($session) = @_;
	$session->query(
		q{INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't'), ('q', 't')});
	is( $session->query(
			'SELECT status, lock FROM procrastinate_fetch_job(NULL)'
			  . ' UNION ALL SELECT status, lock FROM procrastinate_fetch_job(NULL)'),
		"doing|NULL\ndoing|NULL",
		'procrastinate_fetch_job returns jobs without a lock');
	is($session->query('SELECT count(*) FROM procrastinate_job_locks'),
		'0', 'procrastinate_fetch_job takes no lock for them');
	return;
}

sub tick_of_null
{
	my ($session) = @_;
	my $id = $session->query(
		q{SELECT procrastinate_defer_periodic_job('q', 'l', 'ql', 'clean', NULL::bigint)});
	is( $session->query('SELECT id, status, lock, queueing_lock, args FROM procrastinate_jobs'),
		qq($id|todo|l|ql|{"timestamp": null}),
		'procrastinate_defer_periodic_job defers a job for the tick NULL');
	is( $session->query(
			'SELECT task_name, defer_timestamp, job_id FROM procrastinate_periodic_defers'),
		"clean|NULL|$id",
		'procrastinate_defer_periodic_job records the tick NULL');
	$session->query(
		q{SELECT procrastinate_defer_periodic_job('q', NULL, NULL, 'clean', NULL::bigint)});
	is($session->query('SELECT count(*) FROM procrastinate_jobs'),
		'2', 'procrastinate_defer_periodic_job defers a job for each call with the tick NULL');
	return;
}

# The table does not take a waiting job that is to be aborted.
sub retry_of_aborted_job
{
	my ($session, $revision) = @_;
	insert_jobs($session, $revision,
		{ id => 1, status => 'failed', abort_requested => 1, attempts => 2 });
	$session->query('SELECT procrastinate_retry_job_v2(1, NULL, NULL, NULL, NULL)');
	is( $session->query('SELECT status, abort_requested, attempts FROM procrastinate_jobs'),
		'todo|f|3',
		'procrastinate_retry_job_v2 retries a failed job and removes its request to abort');
	return;
}
