# Runs SQL that must fail, takes its error apart, and shows that nothing of it is left.

package Procrastinate::Test::Failure;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

our @EXPORT = qw(dump_of failure look_for_failures names_the_line new_schema);

my ($node, $database);
my @chain   = chain();
my $schemas = 0;

# Sets the server and the database for the other functions.
sub look_for_failures
{
	($node, $database) = @_;
	return;
}

# Creates a schema at a revision, with waiting jobs.
sub new_schema
{
	my ($revision) = @_;
	my $schema = 'failing_' . ++$schemas;
	$node->safe_psql($database, "CREATE SCHEMA $schema");
	return $schema if !$revision;
	upgrade($node, $database, $revision, $schema);
	$node->safe_psql($database, <<"SQL");
SET search_path = $schema;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, scheduled_at)
SELECT 'queue', 'task', 'lock ' || n, '2020-01-01' FROM generate_series(1, 20) AS n
SQL
	return $schema;
}

# The whole schema as SQL, with its rows and its history.
sub dump_of
{
	my ($schema) = @_;
	my ($out, $err) = run_command([ $node->installed_command('pg_dump'), '-d',
			$node->connstr($database), '-n', $schema ]);
	die "no dump: $err" if $out !~ /^CREATE SCHEMA/m or $err ne '';
	$out =~ s/^\\(?:un)?restrict .*\n//mg;
	# Values of a sequence that were drawn are gone, with or without the transaction.
	$out =~ s/^SELECT pg_catalog.setval\(.*\n//mg;
	return $out;
}

# Runs SQL in a psql of its own, whose search_path is the schema. Calls that may install are given
# the schema, as the database has others. Returns the parts of the error.
sub failure
{
	my ($schema, $sql, $role) = @_;
	my ($out, $err);
	$sql =~ s/\b(procrastinate_(?:upgrade|migrate))\(('\w*')?\)/
		"$1(" . join(', ', $2 \/\/ (), "schema => '$schema'") . ')'/gex;
	$sql = "SET ROLE $role;\n$sql" if defined $role;
	my $settings = "SET client_min_messages = warning; SET search_path = $schema, public";
	$node->psql($database, "$settings;\n$sql",
		stdout => \$out, stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=always' ]);
	my %failure = (text => $err, out => $out);
	@failure{qw(sqlstate message)} = $err =~ /ERROR:  (\w{5}): (.*)/;
	foreach my $part (qw(DETAIL HINT CONTEXT))
	{
		my ($text) = $err =~ /^$part:  (.*(?:\n(?![A-Z]+:  |psql:).*)*)/m;
		$failure{ lc $part } = $text;
	}
	return \%failure;
}

# Asserts that the context has the line 'migration 0031 (...), line N', and that a statement begins
# there.
sub names_the_line
{
	my ($failure, $revision, $label) = @_;
	my $file = $chain[ $revision - 1 ]{file};
	my $name = revision_name($revision);
	my ($line) = ($failure->{context} // '') =~ /^migration $name \(\Q$file\E\), line (\d+)$/m;
	ok(defined $line, "$label: the context names migration, file and line")
	  or diag($failure->{text});
	my @lines = split /\n/, slurp(repository() . "/src/migrations/${name}_$file");
	like($lines[ ($line // 0) - 1 ], qr/^(?:ALTER|CREATE|DO|DROP|LOCK|UPDATE) /,
		"$label: a statement begins at that line");
	return;
}

1;
