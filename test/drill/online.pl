# A revision that scripts/new-revision has added goes online from the head before it: workers fetch
# and finish jobs all the while and see no error, and the schema ends as the facts say.
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
	my @scripts = map { "$FindBin::RealBin/$_.sql" } qw(defer work);
	my $load = start_load($node, $database, \@scripts, '-c', 4, '-j', 2);
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
			  . " CALL procrastinate_migrate('$target', " . lit($quoted) . ')');
		is("$status $errors", '0 ', "$schema: procrastinate_migrate() reaches $target");
		ok($wait_for_work->(), "$schema: workers are at work at $target");
	}
	is(stop_load($load), '', "$schema: no worker saw an error");
	is(deadlocks($node, $database), '0', "$schema: no deadlock");
	is_at($node, $database, $schema, $new, "$schema: the schema is what the facts say");
	my $check = 'SELECT count(*) FROM procrastinate_check(schema => ' . lit($quoted) . ')';
	is($node->safe_psql($database, $check),
		'0', "$schema: procrastinate_check() finds no difference");
}
done_testing();

sub distinct { my %seen; return grep { defined && !$seen{$_}++ } @_ }
