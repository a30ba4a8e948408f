# A revision that scripts/new-revision has added goes online from the head before it: workers fetch
# and finish jobs all the while and see no error, and the schema ends as the facts say. They call
# the newest functions of the old head until the last `pre` revision, and those of that one
# afterwards.
#
# Run by scripts/drill in a copy of the tree. The revisions under test are those of the last
# release.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my @chain = chain();
my ($release) = $chain[-1]{file} =~ /^([\d.]+)_/;
my @new = grep { $_->{file} =~ /^\Q$release\E_/ } @chain;
my ($old, $new) = ($new[0]{revision} - 1, $new[-1]{revision} + 0);
my $last_pre = (map { $_->{revision} } grep { $_->{phase} eq 'pre' } @new)[-1];

my $node = start_server();

foreach my $schema ('public', $ODD_SCHEMA)
{
	my $database = new_database($node);
	upgrade($node, $database, $old, $schema);
	my $quoted = name($schema);
	$node->safe_psql($database, <<"SQL");
SET search_path = $quoted;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, priority)
SELECT 'queue', 'task', CASE WHEN n % 3 = 0 THEN 'lock ' || n % 50 END, n % 5
  FROM generate_series(1, 20000) AS n;
SQL
	$node->safe_psql($database, "ALTER DATABASE $database SET search_path = $quoted, public");
	my $load = start_workers($database, $old);
	my $events = "SELECT count(*) FROM $quoted.procrastinate_events WHERE type = 'started'";
	my $wait_for_work = sub {
		my $before = $node->safe_psql($database, $events);
		return $node->poll_query_until($database, "SELECT ($events) > $before + 20");
	};
	ok($wait_for_work->(), "$schema: workers are at work");
	foreach my $target (map { sprintf '%04d', $_ } distinct($last_pre, $new))
	{
		my ($status, undef, $errors) = $node->psql($database,
			'SET client_min_messages = warning;'
			  . " CALL procrastinate_migrate('$target', " . lit($schema) . ')');
		is("$status $errors", '0 ', "$schema: procrastinate_migrate() reaches $target");
		ok($wait_for_work->(), "$schema: workers are at work at $target");
		next if $target != ($last_pre // 0);
		is(stop_load($load), '', "$schema: no worker of the old code saw an error");
		$load = start_workers($database, $target);
		ok($wait_for_work->(), "$schema: workers of the new code are at work at $target");
	}
	is(stop_load($load), '', "$schema: no worker saw an error");
	is(deadlocks($node, $database), '0', "$schema: no deadlock");
	is_at($node, $database, $schema, $new, "$schema: the schema is what the facts say");
	my $check = 'SELECT count(*) FROM procrastinate_check(schema => ' . lit($schema) . ')';
	is($node->safe_psql($database, $check),
		'0', "$schema: procrastinate_check() finds no difference");
}
done_testing();

# Clients that defer jobs, and workers that fetch and finish them, by the functions of a revision.
sub start_workers
{
	my ($database, $revision) = @_;
	my $fetch = newest_call('procrastinate_fetch_job', $revision);
	my %values = (
		bigint                   => ':job',
		procrastinate_job_status => "'succeeded'",
		boolean                  => 'false');
	my $finish = newest_call('procrastinate_finish_job', $revision, %values);
	my %jobs = map { ($_->[0] . '[]' => $_->[1]) } new_jobs($revision);
	my $defer = newest_call('procrastinate_defer_jobs', $revision, %jobs);
	my %scripts = (work => <<"WORK", defer => <<"DEFER");
SELECT coalesce(max(id), 0) AS job FROM $fetch \\gset
\\if :job > 0
SELECT $finish;
\\else
\\sleep 5 ms
\\endif
WORK
\\set n random(1, 1000000)
\\set lock :client_id * :locks + random(1, :locks)
SELECT $defer;
DEFER
	my @files;
	foreach my $name (sort keys %scripts)
	{
		push @files, PostgreSQL::Test::Utils::tempdir('load') . "/$name.sql";
		append_to_file($files[-1], $scripts{$name});
	}
	return start_load($node, $database, \@files, '-c', 4, '-j', 2);
}

# The composite types of a revision as [ name, an array of one new job ].
sub new_jobs
{
	my ($revision) = @_;
	my %value_of = (
		queue_name => "'queue ' || :n % 10",
		task_name  => "'task'",
		priority   => '0',
		lock       => "CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END",
		args       => q('{"n": 1}'));
	my @jobs;
	foreach my $type (grep { $_->{kind} eq 'composite' } facts_at($revision))
	{
		my ($name, $attributes) = $type->{definition} =~ /^(\w+) \((.*)\)$/;
		my @names = $attributes =~ /(?:^|, )(\w+) /g;
		my $values = join ', ', map { $value_of{$_} // 'NULL' } @names;
		push @jobs, [ $name, "ARRAY[ROW($values)]::$name" . '[]' ];
	}
	return @jobs;
}

sub distinct { my %seen; return grep { defined && !$seen{$_}++ } @_ }
