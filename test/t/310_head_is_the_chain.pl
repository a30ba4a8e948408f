# pg_dump prints the same, including the order of columns, bodies of functions and rows, for a
# schema migrated step by step, in one call, by scripts, and installed at head.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $before_head = revision_name($HEAD - 1);
my $node        = start_server(name => 'head');

# The schema and its rows, without those of the history, as pg_dump tells it, in lines.
sub dump_of
{
	my ($database, $schema) = @_;
	my ($dump,     $err)    = ('', '');
	IPC::Run::run(
		[   $node->installed_command('pg_dump'),
			'--inserts', '--exclude-table-data=procrastinate_schema_history*',
			'--exclude-table-data=*.procrastinate_schema_history*',
			'--schema=' . name($schema), '-d', $node->connstr($database) ],
		'>',
		\$dump,
		'2>',
		\$err) or die $err;
	$dump =~ s/^\\(?:un)?restrict .*\n//mg;
	return [ split /\n/, $dump, -1 ];
}

# A database in whose schema head was reached in some way.
sub made
{
	my ($schema, @calls) = @_;
	my $database = new_database($node);
	my $place    = lit($schema);
	$node->safe_psql($database, 'CREATE SCHEMA IF NOT EXISTS ' . name($schema));
	$node->safe_psql($database, "SET client_min_messages = warning; $_")
	  foreach map { s/SCHEMA/$place/r } @calls;
	return $database;
}

# A database without the extension, in which scripts were run.
sub scripted
{
	my ($maker, $schema, @ranges) = @_;
	my $database = $maker . '_scripted_' . @ranges;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database,  'CREATE SCHEMA IF NOT EXISTS ' . name($schema));
	foreach my $range (@ranges)
	{
		my $script = $node->safe_psql(
			$maker,
			'SELECT procrastinate_sql(' . lit($range) . ', ' . lit($schema) . ')');
		$node->safe_psql($database, $script);
	}
	return $database;
}

foreach my $schema ('public', $ODD_SCHEMA)
{
	my @steps = map { "SELECT procrastinate_upgrade('$_', SCHEMA)" } 1 .. $HEAD;
	my $chain = made($schema, @steps);
	my $once  = made($schema, 'SELECT procrastinate_upgrade(\'head\', SCHEMA)');
	my $one   = made(
		$schema,
		"SELECT procrastinate_upgrade('$before_head', SCHEMA)",
		"SELECT procrastinate_upgrade('head', SCHEMA)");
	my $several = made($schema,
		map { 'SELECT procrastinate_upgrade(' . lit($_) . ', SCHEMA)' }
		map { revision_name($_) } 26, commit_points(26, $HEAD), $HEAD);
	my $migrated = made(
		$schema,
		"CALL procrastinate_migrate('$before_head', SCHEMA)",
		"CALL procrastinate_migrate('head', SCHEMA)");

	my $expected = dump_of($chain, $schema);
	cmp_ok(scalar(@$expected), '>', 500, "a dump of $schema holds the whole schema");
	is( scalar(grep { /^CREATE FUNCTION / } @$expected),
		scalar(grep { /^function / } structure($HEAD)),
		'with all functions of head');
	same_lines(
		dump_of($once, $schema),
		$expected, "$schema: head at once is the same as the chain step by step");
	same_lines(dump_of($one, $schema), $expected,
		'one call to the revision before head makes the same');
	same_lines(dump_of($several, $schema),
		$expected, 'calls with a commit after new labels make the same');
	same_lines(dump_of($migrated, $schema), $expected, 'procrastinate_migrate makes the same');
	same_lines(
		dump_of(scripted($chain, $schema, 'base:head'), $schema),
		$expected, 'the script base:head makes the same');
	same_lines(
		dump_of(
			scripted($chain, $schema, 'base:0026', "0026:$before_head", "$before_head:head"),
			$schema),
		$expected,
		'scripts of the chain make the same');
	is_at($node, $once, $schema, $HEAD, 'the facts of head are the same');
}

# The privileges and comments of the history are in these dumps as well.
my $database = made('public', "SELECT procrastinate_upgrade('0003', SCHEMA)");
is( scalar(
		grep { /^GRANT SELECT ON TABLE public.procrastinate_schema_history TO PUBLIC/ }
		  @{ dump_of($database, 'public') }),
	1,
	'a dump includes the privileges of the history');

$node->stop;
done_testing();
