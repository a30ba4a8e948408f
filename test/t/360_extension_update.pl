# ALTER EXTENSION UPDATE: an extension created at a version, updated to it, or dumped, restored and
# updated are the same. A session that still has the old library changes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node = start_server(new => [ install_path => installation_of_its_own() ]);
my $name = 'procrastinate_migrate';

# An invented version is added to its folder.
my $folder    = $node->config_data('--sharedir') . '/extension';
my ($version) = slurp("$folder/$name.control") =~ /^default_version = '(.*)'$/m;
my $invented  = '1.0.99';
my $script    = "$folder/$name--$version--$invented.sql";

open(my $file, '>', $script) or die "cannot write $script: $!";
print $file <<'SQL';
CREATE FUNCTION procrastinate_invented(schema regnamespace DEFAULT NULL) RETURNS text
	LANGUAGE sql STABLE AS $$SELECT 'invented'$$;
COMMENT ON FUNCTION procrastinate_invented(regnamespace) IS 'of a later version';
CREATE TABLE procrastinate_invented_settings (key text NOT NULL, value text NOT NULL);
SELECT pg_catalog.pg_extension_config_dump('procrastinate_invented_settings', '');
GRANT SELECT ON procrastinate_invented_settings TO PUBLIC;
SQL
close $file;

my $made = 0;

sub database_with
{
	my (@statements) = @_;
	my $database = 'updated_' . ++$made;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$node->safe_psql($database,  $_) foreach @statements;
	return $database;
}

# What belongs to the extension, in words.
sub members
{
	my ($database) = @_;
	return $node->safe_psql($database, <<"SQL");
SELECT extversion FROM pg_extension WHERE extname = '$name';
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) COLLATE "C" AS object,
       obj_description(d.objid, d.classid::regclass::text::name), pg_get_functiondef(p.oid),
       p.proacl, c.relacl
  FROM pg_depend d
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
 WHERE e.extname = '$name' AND d.deptype = 'e' ORDER BY 1;
SQL
}

sub dump_and_restore
{
	my ($from) = @_;
	my $to = database_with();
	my ($dump, $err) = ('', '');
	IPC::Run::run(
		[ $node->installed_command('pg_dump'), '-d', $node->connstr($from) ],
		'>', \$dump, '2>', \$err)
	  or die $err;
	IPC::Run::run(
		[   $node->installed_command('psql'), qw(-Xq -v ON_ERROR_STOP=1 -o /dev/null -d),
			$node->connstr($to) ],
		'<',
		\$dump,
		'2>',
		\$err) or die $err;
	return $to;
}

# Asserts that three ways lead to the same extension; returns the three databases.
sub three_ways
{
	my ($old, $new) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $create   = "CREATE EXTENSION $name VERSION";
	my $update   = "ALTER EXTENSION $name UPDATE TO '$new'";
	my $fresh    = database_with("$create '$new'");
	my $updated  = database_with("$create '$old'");
	my $restored = dump_and_restore($updated);
	$node->safe_psql($_, $update) foreach $updated, $restored;
	is(members($updated),  members($fresh), "updated from $old to $new is as created at $new");
	is(members($restored), members($fresh),
		"dumped at $old, restored and updated to $new is as created at $new");
	return ($fresh, $updated, $restored);
}

# ---- The invented version -----------------------------------------------------------------------

my $old = database_with(
	"CREATE EXTENSION $name",
	"SET client_min_messages = error; SELECT procrastinate_upgrade('0026')");
is( $node->safe_psql($old, "SELECT extversion FROM pg_extension WHERE extname = '$name'"),
	$version, 'users have the default version');
my $restored = dump_and_restore($old);

# A session that has the library and looks on.
my $session = new_session($node, $old);
is( $session->query('SELECT revision FROM procrastinate_current()'),
	'0026', 'a session uses the library');

foreach my $database (three_ways($version, $invented))
{
	is( $node->safe_psql(
			$database,
			q{SELECT procrastinate_invented(), count(*) FROM procrastinate_invented_settings}),
		'invented|0',
		'the new function and the new table exist');
}

foreach my $database ($old, $restored)
{
	$node->safe_psql($database, "ALTER EXTENSION $name UPDATE TO '$invented'");
	is( $node->safe_psql($database, 'SELECT procrastinate_invented()'),
		'invented', 'the extension is updated in a database with an installation');
	is( $node->safe_psql($database, 'SELECT revision, is_head FROM procrastinate_current()'),
		'0026|f', 'the installation is at the same revision');
}
$node->safe_psql($old, q{INSERT INTO procrastinate_invented_settings VALUES ('a', 'b')});
is( $node->safe_psql(
		$old,
		q{SELECT count(*) FROM pg_extension WHERE extname = 'procrastinate_migrate'}
		  . q{ AND array_length(extconfig, 1) = 1}),
	'1',
	'a table of the new version is dumped with its rows');

# ---- A library of one version, an extension of another ------------------------------------------

foreach my $call (
	q{SELECT procrastinate_upgrade('0027')},
	q{SELECT procrastinate_upgrade('current')},
	q{CALL procrastinate_migrate('0027')},
	q{SELECT procrastinate_adopt()},
	q{SELECT procrastinate_repair(dry_run => false)},
	q{SELECT procrastinate_stamp('0026')})
{
	my $refusal = $session->refusal($call);
	is( $refusal,
		"PM008: library procrastinate_migrate is version $version, but the extension in this"
		  . " database is version $invented",
		"refused by a session with the older library: $call");
}
is( $session->query('SELECT revision FROM procrastinate_current()')
	  . $session->query('SELECT count(*) FROM procrastinate_history()')
	  . $session->query('SELECT count(*) FROM procrastinate_pending()')
	  . $session->query('SELECT count(*) FROM procrastinate_log()')
	  . $session->query(q{SELECT procrastinate_sql('current:head') <> ''}),
	"0026$HEAD" . ($HEAD - 26) . '26t',
	'the older library may read');
like(
	$session->refusal('SELECT procrastinate_downgrade(NULL)'),
	qr/^0A000: /, 'the error says that there is no downgrade');
is_at($node, $old, 'public', 26, 'nothing has changed');
my ($status, $out, $err) = $node->psql($old, 'SELECT procrastinate_upgrade()');
like(
	$err,
	qr/^HINT:  .*start a new session; else run ALTER EXTENSION procrastinate_migrate UPDATE;$/m,
	'the HINT names both ways out');

# The functions are there and the extension is not: only by hand.
my $orphan = database_with();
$node->safe_psql(
	$orphan,
	q{CREATE FUNCTION procrastinate_upgrade(text, regnamespace, boolean) RETURNS text LANGUAGE c}
	  . q{ AS '$libdir/procrastinate_migrate'});
($status, $out, $err) = $node->psql($orphan, q{SELECT procrastinate_upgrade('head', NULL, false)});
like(
	$err,
	qr/ERROR:  .*but the extension in this database is not installed/,
	'without an extension nothing is changed');
$session->close;

# ---- Every update script of the repository ------------------------------------------------------

my $scripts = 0;
foreach my $path (glob(repository() . "/src/$name--*--*.sql"))
{
	my ($from, $to) = $path =~ /--(.+)--(.+)\.sql$/;
	three_ways($from, $to);
	$scripts++;
}
note("update scripts in the repository: $scripts");
my ($base) = glob(repository() . "/src/$name--$version.sql");
ok($scripts || (defined $base && -e $base), 'the default version can be created or reached');

# ---- Hints name the extension's functions with its schema, wherever it is ------------------------

{
	my $moved = new_database($node);
	$node->safe_psql($moved, <<'SQL');
CREATE SCHEMA "Ext";
ALTER EXTENSION procrastinate_migrate SET SCHEMA "Ext";
CREATE SCHEMA app;
SET client_min_messages = warning;
SELECT "Ext".procrastinate_upgrade('0026', 'app');
SQL
	my (undef, undef, $error) = $node->psql($moved,
		q{SET search_path = app; SELECT "Ext".procrastinate_require('0027')});
	my ($hint) = $error =~ /^HINT:  .*?(CALL .*;)$/m;
	is($hint,
		q{CALL "Ext".procrastinate_migrate('0027', schema => 'app');},
		'a hint has the schema of the extension');
	$node->safe_psql($moved, "SET client_min_messages = warning; SET search_path = app; $hint");
	is($node->safe_psql($moved, q{SELECT revision FROM "Ext".procrastinate_current('app')}),
		'0027', 'and works from any search_path');
}

$node->stop;
done_testing();
