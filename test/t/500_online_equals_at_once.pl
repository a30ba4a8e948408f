# procrastinate_migrate() by steps and procrastinate_upgrade() in one transaction end with the same
# catalog, except for the order of columns, and the same rows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Rows;

my $node     = start_server();
my $database = new_database($node);

create_rows_of($node, $database);

sub same
{
	my ($online, $at_once, $revision, $label) = @_;
	is_at($node, $database, $online, $revision,
		"$label: online, the catalog is that of the revision");
	is( $node->safe_psql(
			$database,
			"SELECT count(*) FROM procrastinate_check('"
			  . revision_name($revision)
			  . "', '$online')"),
		'0',
		"$label: online, the bodies of the functions are, too");
	my @rows = map { rows_of($node, $database, $_) } $online, $at_once;
	cmp_ok(scalar @{ $rows[0] }, '>', 1, "$label: there are tables to compare");
	return same_lines(@rows, "$label: the rows are the same");
}

# From each revision to the next.
{
	my ($online, $at_once) = qw(online_each at_once_each);
	upgrade($node, $database, 1, $_) foreach $online, $at_once;
	foreach my $revision (2 .. $HEAD)
	{
		# Rows before those that change rows, or refuse some.
		foreach my $schema ($online, $at_once)
		{
			add_rows($node, $database, $schema, $revision - 1)
			  if grep { $_ == $revision } 2, 12, 24, 30, 31, 34;
		}
		my $target = revision_name($revision);
		upgrade($node, $database, $revision, $at_once);
		$node->safe_psql(
			$database,
			"SET client_min_messages = warning; CALL procrastinate_migrate('$target', '$online')");
		same($online, $at_once, $revision, $target);
	}
}

# In one call over many: what one revision builds ahead, another uses.
foreach
  my $path ([ 2, $HEAD ], [ 6, 30 ], [ 8, 12 ], [ 12, 29 ], [ 26, $HEAD ], [ 27, 28 ], [ 23, 24 ],
	[ 30, $HEAD ], [ 32, $HEAD ])
{
	my ($from,   $to)      = @$path;
	my ($online, $at_once) = map { "${_}_${from}_$to" } 'online', 'at_once';
	my ($start,  $end)     = (revision_name($from), revision_name($to));
	foreach my $schema ($online, $at_once)
	{
		upgrade($node, $database, $from, $schema);
		add_rows($node, $database, $schema, $from);
	}
	upgrade($node, $database, $to, $at_once);
	$node->safe_psql($database,
		"SET client_min_messages = warning; CALL procrastinate_migrate('$end', '$online')");
	same($online, $at_once, $to, "$start to $end");
}

done_testing();
