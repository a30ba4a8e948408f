# Scripts of procrastinate_sql() where another tool has been at work: tables without a history that
# are past the script, tables that are past their history, objects that no known revision has.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::Database;
use Procrastinate::Test::Script;

my $node     = start_server();
my $database = new_database($node);
use_database($node, $database);
my %way = (at_once => '', online => 'online => true');

foreach my $way (sort keys %way)
{
	no_history($way, @$_)
	  foreach [ 'base:0028', 28 ], [ 'base:0028', 30 ], [ '0026:0028', 28 ], [ '0026:0028', $HEAD ],
	  [ 'base:head', $HEAD ];
	past_its_history($way);
	unknown_objects($way);
	version_tables($way);
}
done_testing();

sub run_it
{
	my ($way, $range, $schema) = @_;
	return run_script($node, $database,
		script_file(script_text($node, $database, $range, $schema, $way{$way} || ())));
}

sub last_event
{
	my ($schema) = @_;
	return run_sql("SELECT event || ' ' || to_revision FROM $schema.procrastinate_schema_history"
		  . ' ORDER BY id DESC LIMIT 1');
}

sub no_history
{
	my ($way, $range, $revision) = @_;
	my $schema = "${way}_" . ($range =~ s/:/_/r) . "_$revision";
	my $name   = "$way, $range on tables of $revision";
	upgrade($node, $database, $revision, $schema);
	run_sql("DROP TABLE $schema.procrastinate_schema_history");
	# Definitions are compared whatever the settings of the session.
	local $ENV{PGOPTIONS} = '-c quote_all_identifiers=on' if $revision == $HEAD;
	foreach my $time ('', ' again')
	{
		my ($status, $err) = run_it($way, $range, $schema);
		is($status, 0, "$name: it ends without an error$time") || diag($err);
		like($err, qr/nothing to do/, "$name: there is nothing to do$time");
	}
	is(last_event($schema), 'adopt ' . revision_name($revision), "$name: the history has it");
	return;
}

sub past_its_history
{
	my ($way) = @_;
	my $schema = "${way}_past";
	upgrade($node, $database, 30, $schema);
	run_sql("CREATE TABLE kept AS TABLE $schema.procrastinate_schema_history");
	upgrade($node, $database, 34, $schema);
	run_sql("TRUNCATE $schema.procrastinate_schema_history;"
		  . " INSERT INTO $schema.procrastinate_schema_history SELECT * FROM kept;"
		  . ' DROP TABLE kept');
	my ($status, $err) = run_it($way, '0030:head', $schema);
	if ($way eq 'online')
	{
		is($status, 0, "$way: it goes on from where the catalog is") || diag($err);
		is_at($node, $database, $schema, $HEAD, "$way: the catalog is that of head");
	}
	else
	{
		is($status, 3, "$way: a script that starts elsewhere is refused");
		like($err, qr/is at 0034, but this script starts at 0030/, "$way: and says where it is");
	}
	like(
		$err,
		qr/the history of schema "$schema" says 0030, but its catalog is exactly that of 0034/,
		"$way: it says how it knows");
	return;
}

sub unknown_objects
{
	my ($way) = @_;
	my $schema = "${way}_unknown";
	upgrade($node, $database, 28, $schema);
	run_sql("CREATE TABLE $schema.procrastinate_batches (id int)");
	my ($status, $err) = run_it($way, '0028:head', $schema);
	is($status, 3, "$way: a table that no known revision has stops it");
	like($err, qr/DETAIL:  There is table procrastinate_batches\./, "$way: it is named");
	is(revision_of($schema), '0028', "$way: nothing has changed");
	my %verify = (at_once => 'off', online => 'warn');
	local $ENV{PGOPTIONS} = "-c procrastinate_migrate.verify=$verify{$way}";
	($status, $err) = run_it($way, '0028:head', $schema);
	is($status, 0, "$way: unless it is told not to stop") || diag($err);
	my $warning = qr/WARNING:  schema "$schema" holds objects .*\nDETAIL:  There is table/;
	if ($verify{$way} eq 'warn') { like($err, $warning, "$way: it warns"); }
	else { unlike($err, $warning, "$way: it does not look"); }
	return;
}

# The setting names Alembic's table for calls of the extension only.
sub version_tables
{
	my ($way) = @_;
	my $schema = "${way}_alembic";
	upgrade($node, $database, 28, $schema);
	run_sql("CREATE TABLE $schema.alembic_version (version_num text PRIMARY KEY);"
		  . " INSERT INTO $schema.alembic_version VALUES ('0028')");
	local $ENV{PGOPTIONS} = "-c procrastinate_migrate.alembic_version=$schema.alembic_version";
	my ($status, $err) = run_it($way, '0028:head', $schema);
	is($status, 0, "$way: a script beside Alembic's table") || diag($err);
	is(revision_of($schema), $HEAD_NAME, "$way: migrates");
	is(run_sql("SELECT version_num FROM $schema.alembic_version"),
		'0028', "$way: and leaves the table to Alembic");
	return;
}
