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
