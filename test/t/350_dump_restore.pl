# The history is dumped and restored with the installation, whole or by schema. A restored database
# continues from its revision. DROP EXTENSION and a rename of the schema keep the history.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'dump');
my $database = new_database($node);
my $odd      = name($ODD_SCHEMA);
my $quiet    = 'SET client_min_messages = error;';

upgrade($node, $database, '0020', 'public');
upgrade($node, $database, 'head', $ODD_SCHEMA);
$node->safe_psql($database, <<"SQL");
$quiet
CREATE SCHEMA third;
SELECT procrastinate_upgrade('0028', 'third');
SELECT procrastinate_stamp('0028', schema => 'third');
INSERT INTO public.procrastinate_jobs (queue_name, task_name, args)
	SELECT 'queue ' || i % 3, 'task', jsonb_build_object('i', i) FROM generate_series(1, 100) i;
INSERT INTO $odd.procrastinate_jobs (queue_name, task_name) VALUES ('a', 'b'), ('c', 'd');
SQL

sub empty
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
	return $name;
}

sub succeeds
{
	my ($name, @command) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = ('', '');
	my $program = $node->installed_command(shift @command);
	IPC::Run::run([ $program, @command ], '>', \$out, '2>', \$err);
	return is($? . $err, '0', $name);
}

# Everything that counts of a schema: its history and its revision as users see them, and its jobs.
sub content
{
	my ($in, $schema) = @_;
	my $place = lit($schema);
	return $node->safe_psql($in,
			'SELECT id, applied_at, applied_by, event, from_revision, to_revision, duration, version'
		  . " FROM procrastinate_log($place);"
		  . "SELECT revision, is_head FROM procrastinate_current($place);"
		  . 'SELECT count(*), md5(string_agg(j::text, \'|\' ORDER BY id)) FROM '
		  . name($schema)
		  . '.procrastinate_jobs j');
}

my %at      = ('public' => 20, $ODD_SCHEMA => $HEAD, 'third' => 28);
my $file    = "$PostgreSQL::Test::Utils::tmp_check/dump";
my @connect = ('-d', $node->connstr($database));

# Asserts that a restored database has these schemas, and that they can be upgraded to head.
sub goes_on
{
	my ($restored, @schemas) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $schema (@schemas)
	{
		is( content($restored, $schema),
			content($database, $schema),
			"$schema is restored with its history");
		is_at($node, $restored, $schema, $at{$schema},
			"$schema is restored at revision $at{$schema}");
		$node->safe_psql($restored,
			"$quiet CALL procrastinate_migrate(schema => " . lit($schema) . ')');
		is_at($node, $restored, $schema, $HEAD, 'the schema can be upgraded to head');
		my $last = $node->safe_psql($restored,
				q{SELECT count(*) = max(id), count(*) FILTER (WHERE event !~ '^step '),}
			  . ' (array_agg(event ORDER BY id))[1], (array_agg(to_revision ORDER BY id DESC))[1]'
			  . ' FROM procrastinate_log('
			  . lit($schema)
			  . ') WHERE is_own');
		is( $last,
			't|' . ($HEAD - $at{$schema} + 1) . "|adopt|$HEAD_NAME",
			'its own history begins with what the catalog said');
	}
	return;
}

# ---- Whole databases ----------------------------------------------------------------------------

succeeds('pg_dump writes plain text', 'pg_dump', @connect, '-f', "$file.sql");
my $plain = empty('plain');
succeeds(
	'psql restores it', 'psql', '-Xq',       '-v',
	'ON_ERROR_STOP=1',  '-o',   '/dev/null', '-f',
	"$file.sql",        '-d',   $node->connstr($plain));
goes_on($plain, 'public', $ODD_SCHEMA, 'third');
like(
	slurp("$file.sql"),
	qr/^COPY public\.procrastinate_schema_history .*\n1\tupgrade\tbase\t0001\t/m,
	'the rows of the history are in the dump');
like(
	slurp("$file.sql"),
	qr/^CREATE EXTENSION IF NOT EXISTS procrastinate_migrate /m,
	'the extension is in the dump');
unlike(
	slurp("$file.sql"),
	qr/CREATE FUNCTION public\.procrastinate_upgrade/,
	'the members of the extension are not in the dump');

succeeds('pg_dump writes an archive', 'pg_dump', @connect, '-Fc', '-f', "$file.custom");
my $custom = empty('custom');
succeeds('pg_restore restores it', 'pg_restore', '-d', $node->connstr($custom), "$file.custom");
goes_on($custom, 'public', $ODD_SCHEMA, 'third');
my $parallel = empty('parallel');
succeeds(
	'pg_restore restores it with two jobs',
	'pg_restore', '-j', '2', '-d', $node->connstr($parallel),
	"$file.custom");
goes_on($parallel, 'third');

# ---- One schema ---------------------------------------------------------------------------------

succeeds('pg_dump writes one schema', 'pg_dump', @connect, "--schema=$odd", '-f', "$file.schema");
my $one = empty('one');
succeeds(
	'psql restores it', 'psql', '-Xq',          '-v', 'ON_ERROR_STOP=1', '-o',
	'/dev/null',        '-f',   "$file.schema", '-d', $node->connstr($one));
is_at($node, $one, $ODD_SCHEMA, $HEAD, 'the schema is restored without the extension');
$node->safe_psql($one, 'CREATE EXTENSION procrastinate_migrate');
is(content($one, $ODD_SCHEMA), content($database, $ODD_SCHEMA),
	'its history can be read once the extension is created');

succeeds('pg_dump writes the structure only',
	'pg_dump', @connect, '--schema-only', '-f', "$file.structure");
my $bare = empty('bare');
succeeds(
	'psql restores it', 'psql', '-Xq',             '-v', 'ON_ERROR_STOP=1', '-o',
	'/dev/null',        '-f',   "$file.structure", '-d', $node->connstr($bare));
my ($status, $out, $err) =
  $node->psql($bare, "BEGIN; SELECT procrastinate_upgrade('0021'); ROLLBACK");
like(
	$err,
	qr/^psql:\S+ NOTICE:  schema "public" has no history; its catalog is that of 0020, which/m,
	'an upgrade adopts the revision if the history has no rows');
is( $node->safe_psql(
		$bare, "$quiet SELECT procrastinate_stamp('0020'); SELECT procrastinate_upgrade('0021')"),
	"0020\n0021",
	'the schema can be stamped and upgraded');

# ---- DROP EXTENSION and CREATE EXTENSION again --------------------------------------------------

my $before = content($database, 'public');
my $state  = $node->safe_psql($database, q{SELECT count(*) FROM pg_class WHERE relkind <> 'v'});
$node->safe_psql($database, 'DROP EXTENSION procrastinate_migrate');
is($node->safe_psql($database, q{SELECT count(*) FROM pg_class WHERE relkind <> 'v'}),
	$state, 'DROP EXTENSION leaves every table where it is');
is( $node->safe_psql(
		$database, q{SELECT count(*) FROM pg_proc WHERE proname = 'procrastinate_upgrade'}),
	'0',
	'DROP EXTENSION drops the functions');
is_at($node, $database, $_, $at{$_}, "the installation in $_ is unchanged") foreach sort keys %at;
$node->safe_psql($database, 'CREATE EXTENSION procrastinate_migrate');
is(content($database, 'public'), $before, 'created again, it knows them all');

# ---- New names ----------------------------------------------------------------------------------

$before = $node->safe_psql($database, q{SELECT l::text FROM procrastinate_log('third') l});
$node->safe_psql($database, 'ALTER SCHEMA third RENAME TO "Fourth; one"');
is($node->safe_psql($database, q{SELECT l::text FROM procrastinate_log('Fourth; one') l}),
	$before, 'a renamed schema has its history');
$node->safe_psql($database, "$quiet CALL procrastinate_migrate(schema => 'Fourth; one')");
is_at($node, $database, 'Fourth; one', $HEAD, 'the schema can be upgraded to head');
$node->safe_psql($database,
		"INSERT INTO \"Fourth; one\".procrastinate_jobs (queue_name, task_name)"
	  . " VALUES ('a', 'b')");
is( $node->safe_psql(
		$database,
		q{SET search_path = "Fourth; one";}
		  . ' SELECT task_name FROM ' . newest_call('procrastinate_fetch_job', $HEAD)
	),
	'b',
	'jobs are deferred and fetched in the renamed schema');

# ---- Starting over ------------------------------------------------------------------------------

$node->safe_psql($database, 'DROP TABLE public.procrastinate_schema_history');
is($node->safe_psql($database, 'SELECT count(*) FROM procrastinate_jobs'), '100', 'no job is lost');
is( $node->safe_psql($database, "$quiet SELECT procrastinate_upgrade('0021')"),
	'0021', 'an upgrade goes on without the history');
$node->safe_psql($database,
		"$quiet DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
	  . ' CREATE EXTENSION procrastinate_migrate;'
	  . ' SELECT procrastinate_upgrade(schema => \'public\')'
);
is_at($node, $database, 'public', $HEAD, 'a new schema of the same name has no history');

$node->stop;
done_testing();
