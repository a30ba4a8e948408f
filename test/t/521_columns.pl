# Rows of procrastinate_plan, _current, _history and _pending fit into 100 columns of psql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server();
my $database = new_database($node);

# A title of a later release may be longer than all that are known.
my $longest = max map { length((split /\t/)[3]) } split /\n/, slurp(data_file('chain.tsv'));
my $width   = 100 + max 0, $longest - 38;

# Asserts that the lines that psql prints for each function fit, as a user with a time zone of
# minutes sees them.
sub fit
{
	my ($schema, $when, @functions) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(
		[
			'psql', '-X', '-d', $node->connstr($database),
			'-c',   "SET TimeZone = 'Asia/Kolkata'",
			map { ('-c', "SELECT * FROM procrastinate_$_(schema => '$schema')") } @functions
		],
		'>'  => \$out,
		'2>' => \$err) or die $err;
	is_deeply([ grep { length > $width } split /\n/, $out ], [], "all lines fit $when");
	is(scalar(() = $out =~ /^\(\d+ rows?\)$/mg), scalar @functions, 'of all functions');
	return;
}

# A name as long as those that people give.
$node->safe_psql($database, 'CREATE ROLE migrations_of_billing SUPERUSER LOGIN');

foreach my $start (0 .. $HEAD)
{
	my $schema = 's' . revision_name($start);
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	upgrade($node, $database, $start, $schema) if $start;
	fit($schema, "at $start", qw(plan current history pending));
}

$node->safe_psql($database, 'CREATE SCHEMA midway');
upgrade($node, $database, 23, 'midway');
$node->safe_psql(
	$database, q{
	SET SESSION AUTHORIZATION migrations_of_billing;
	CALL procrastinate_migrate('0025', 'midway');
});
fit('midway', 'after steps of another role', qw(plan current history));
is( $node->safe_psql($database, 'SELECT applied_by FROM procrastinate_current(\'midway\')'),
	'migrations_of_billing', 'whose name is shown');

# Under way, and where the catalog or a later version has the word.
$node->safe_psql($database, 'CREATE SCHEMA unsure');
upgrade($node, $database, 23, 'unsure');
$node->safe_psql(
	$database, q{
	SET SESSION AUTHORIZATION migrations_of_billing;
	INSERT INTO unsure.procrastinate_schema_history (id, event, from_revision, to_revision,
		applied_at, applied_by, duration, version, system_identifier, database_oid)
	SELECT 999, 'step 0024.1', '0023', '0023', '2026-12-01 11:14:10.123456', current_user,
		duration, version, system_identifier, database_oid
	FROM unsure.procrastinate_schema_history LIMIT 1;
});
fit('unsure', 'in the middle of a migration', qw(current history));
$node->safe_psql($database,
	q{UPDATE unsure.procrastinate_schema_history SET event = 'step 0024.77' WHERE event ~ '0024'});
fit('unsure', 'at an unknown step', qw(current));
$node->safe_psql($database,
	q{UPDATE unsure.procrastinate_schema_history SET to_revision = '0099', event = 'upgrade'}
	  . q{ WHERE event ~ '0024'});
fit('unsure', 'at an unknown revision', qw(current));
$node->safe_psql($database, 'UPDATE unsure.procrastinate_schema_history SET database_oid = 1');
$node->safe_psql($database, 'ALTER TABLE unsure.procrastinate_jobs ADD more int');
fit('unsure', 'with the history of another database', qw(current));
$node->safe_psql($database, 'DROP TABLE unsure.procrastinate_schema_history');
fit('unsure', 'without a history', qw(current));
$node->safe_psql($database, 'ALTER TABLE s0005.procrastinate_jobs RENAME TO jobs');
fit('s0005', 'without the table', qw(current));
foreach my $kind ('VIEW', 'MATERIALIZED VIEW')
{
	$node->safe_psql($database,
		"CREATE $kind s0005.procrastinate_jobs AS SELECT * FROM s0005.jobs");
	fit('s0005', "with a $kind in its place", qw(current));
	$node->safe_psql($database, "DROP $kind s0005.procrastinate_jobs");
}

# ---- What the plan says -------------------------------------------------------------------------

is( $node->safe_psql(
		$database,
		q{SELECT revision, step, kind, phase, title FROM procrastinate_plan('0031', 's0029')}
		  . ' WHERE step < 4 OR step = 7'
	),
	<<'ROWS' =~ s/\n\z//r, 'the plan has titles and phases');
0030|1|brief|pre|install the fetch barrier
0030|2|brief|pre|add the column, functions and triggers
0030|3|brief|pre|remove the fetch barrier
0031|1|brief|post|drop the functions of older releases
0031|2|concurrent|post|build the index for the look-up of locks
0031|3|batched|post|update the aborting jobs
0031|7|brief|post|exchange the triggers, rename the indexes
ROWS
is( $node->safe_psql(
		$database, q{SELECT string_agg(title, ', ') FROM procrastinate_plan('0003', 's0000')}),
	'Initial, Drop Started At Column, Drop Started At Column',
	'a migration that is one step has its own title');
is( $node->safe_psql(
		$database,
		q{SELECT count(*) FROM procrastinate_plan(schema => 's0001') WHERE title ~ '[.]$'}
	),
	'0',
	'no title is cut');
is( $node->safe_psql(
		$database,
		q{SELECT count(*) FROM procrastinate_plan(schema => 's0001') p FULL JOIN}
		  . q{ procrastinate_plan_details(schema => 's0001') d}
		  . q{ ON (p.revision, p.step, p.kind, p.title) = (d.revision, d.step, d.kind, d.title)}
		  . q{ AND p.phase IS NOT DISTINCT FROM d.phase AND p.estimate IS NOT NULL}
		  . q{ AND d.estimate IS NOT NULL WHERE p IS NULL OR d IS NULL}),
	'0',
	'the details are of the same steps');

done_testing();
