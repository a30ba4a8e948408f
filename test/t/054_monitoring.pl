# The queries of docs/monitoring.md for check_postgres and postgres_exporter, as they stand there,
# by a role that may only read: what each returns in the states that they are to tell apart.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Facts;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);

my ($behind, $exported, $broken) = queries();
my $head = numbered_schema($HEAD);
my $old  = numbered_schema(30);
run_sql(<<"SQL");
CREATE ROLE monitor LOGIN;
GRANT USAGE ON SCHEMA $head, $old TO monitor;
REVOKE SELECT ON $head.procrastinate_schema_history FROM PUBLIC;
SQL
my $monitor = session();
$monitor->query('SET SESSION AUTHORIZATION monitor');

is($monitor->query($behind), '2', 'a history that the role cannot read does not count as at head');
is($monitor->query($exported), "$head|unknown|0|0\n$old|0030|0|0", 'its revision is not known');
run_sql("GRANT SELECT ON $head.procrastinate_schema_history TO monitor");
is($monitor->query($behind), '1', 'one of two installations is not at head');
is($monitor->query($exported), "$head|$HEAD_NAME|1|0\n$old|0030|0|0", 'a row for each');
is($monitor->query($broken),   '0', 'nothing breaks Procrastinate');

run_sql("DROP TRIGGER procrastinate_trigger_delete_jobs_v1 ON $head.procrastinate_jobs");
is($monitor->query($broken), '1', 'a trigger was dropped');
run_sql("SELECT * FROM procrastinate_repair(schema => '$head', dry_run => false)");
is($monitor->query($broken), '0', 'and is repaired');

run_sql("SELECT procrastinate_stamp('head', schema => '$old', verify => false)");
isnt($monitor->query($broken), '0', 'a revision was recorded that is not there');
run_sql("SELECT procrastinate_adopt('$old')");
is($monitor->query($broken), '0', 'and is corrected');

under_way();
upgrade($node, $database, 'head', $old);
is($monitor->query($behind), '0', 'all are at head');
$monitor->close;
done_testing();

# The SQL of the page from "All the time" on.
sub queries
{
	my ($text) = slurp(repository() . '/docs/monitoring.md') =~ /^## All the time\n(.*)/ms;
	my @sql = $text =~ /^```sql\n(.*?);\n```$/msg;
	is(scalar @sql, 3, 'the page has three queries');
	return @sql;
}

# A reader keeps the migration to 0032 from one of its steps.
sub under_way
{
	my ($reader, $caller) = map { session($old) } 1 .. 2;
	$reader->query('BEGIN; SELECT count(*) FROM procrastinate_jobs');
	$caller->send(q{CALL procrastinate_migrate('0032')});
	wait_until(
		q{SELECT count(*) = 1 FROM procrastinate_progress WHERE cardinality(waiting_for) > 0},
		'a migration waits');
	is($monitor->query($broken), '0', 'an installation that is between two revisions is left out');
	is($monitor->query("SELECT under_way_seconds > 0 FROM ($exported) e WHERE schema = '$old'"),
		't', 'and is under way');
	$reader->query('COMMIT');
	is(($caller->wait)[1], '', 'the migration goes on');
	is($monitor->query("SELECT under_way_seconds FROM ($exported) e WHERE schema = '$old'"),
		'0', 'until it has ended');
	$_->close foreach $reader, $caller;
	return;
}
