# Compares every revision with structure.tsv: reached step by step and in one call, in schema public
# and in a schema whose name needs quotes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my @schemas = ('public', $ODD_SCHEMA);
my $node    = start_server();

# ------------------------------------------------------------------------------------------------
# The facts themselves
# ------------------------------------------------------------------------------------------------

my @chain = chain();
cmp_ok(scalar @chain, '>=', 38, 'the chain has lost no revision');
is_deeply(
	[ map { $_->{revision} } @chain ],
	[ map { revision_name($_) } 1 .. $HEAD ],
	'the revisions are numbered without a gap');
isnt(scalar(structure(1)), 0, 'the facts include the first revision');

{
	my %owners;
	foreach my $revision (1 .. $HEAD)
	{
		foreach my $line (grep { /^function / } structure($revision))
		{
			my ($function) = $line =~ /^function (\w+)/;
			$owners{$function} =
			  join ' ', grep { $function =~ $Procrastinate::Test::Watch::SUBJECT{$_} }
			  sort keys %Procrastinate::Test::Watch::SUBJECT;
		}
	}
	is( join(' ', grep { $owners{$_} =~ / / } sort keys %owners),
		'', 'no function belongs to two subjects');

	my $last = $Procrastinate::Test::Watch::CALLED_UP_TO;
	my %old  = map { /^function (\w+)/ ? ($1 => 1) : () } map { structure($_) } 1 .. $last;
	is( join(' ', grep { $old{$_} && $owners{$_} eq '' } sort keys %owners),
		'', "every function up to revision $last belongs to a subject, so a test file calls it");
	diag("no test calls $_, which is newer than \$CALLED_UP_TO of Procrastinate::Test::Watch")
	  foreach grep { !$old{$_} } sort keys %owners;
}

# ------------------------------------------------------------------------------------------------
# Step by step
# ------------------------------------------------------------------------------------------------

my $database = new_database($node);

foreach my $schema (@schemas)
{
	is_at($node, $database, $schema, 0, "schema $schema is empty at first")
	  if $schema eq 'public';
	foreach my $revision (1 .. $HEAD)
	{
		upgrade($node, $database, $revision, $schema);
		is_at(
			$node, $database, $schema, $revision,
			"schema $schema at " . revision_name($revision) . ' after one step more');
	}
}

# ------------------------------------------------------------------------------------------------
# By one call
# ------------------------------------------------------------------------------------------------

foreach my $revision (1 .. $HEAD)
{
	my $fresh = new_database($node);
	foreach my $schema (@schemas)
	{
		upgrade($node, $fresh, $revision, $schema);
		is_at(
			$node, $fresh, $schema, $revision,
			"schema $schema at " . revision_name($revision) . ' after one call from base');
	}
	is_at(
		$node, $fresh, 'public', $revision,
		"schema public is still at " . revision_name($revision) . ' after another upgrade');
	$node->safe_psql('postgres', "DROP DATABASE $fresh");
}

{
	my $fresh = new_database($node);
	foreach my $schema (@schemas)
	{
		upgrade($node, $fresh, 'head', $schema);
		is_at($node, $fresh, $schema, $HEAD, "schema $schema at head, given by the name head");
	}
}

# ------------------------------------------------------------------------------------------------
# Two installations in one database
# ------------------------------------------------------------------------------------------------

my $strays = $node->safe_psql($database, <<'SQL');
SELECT format('%s of %s uses %s', t.tgname, t.tgrelid::regclass, t.tgfoid::regprocedure)
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE NOT t.tgisinternal AND p.pronamespace <> c.relnamespace
UNION ALL
SELECT format('%s of %s uses %s', a.attname, a.attrelid::regclass, a.atttypid::regtype)
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relname LIKE 'procrastinate%' AND a.attnum > 0 AND NOT a.attisdropped
   AND t.typname LIKE 'procrastinate%' AND t.typnamespace <> c.relnamespace
SQL
is($strays, '', 'triggers and columns use functions and types of their own schema only');

done_testing();
