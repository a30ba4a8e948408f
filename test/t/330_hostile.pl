# Temporary tables, operators, types and functions of the same names, in any search_path, are
# neither used nor run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Procrastinate::Test;
use Test::More;

my $node     = start_server(name => 'hostile');
my $database = new_database($node);
my $quiet    = 'SET client_min_messages = error;';

sub query { return $node->safe_psql($database, $quiet . shift); }

# ---- A schema full of fakes, in front of everything ---------------------------------------------

query(<<'SQL');
CREATE SCHEMA tools;
ALTER EXTENSION procrastinate_migrate SET SCHEMA tools;
CREATE SCHEMA evil;
CREATE TABLE evil.traps (name text, ran_as text);
CREATE FUNCTION evil.spring(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	RAISE EXCEPTION 'sprang the trap %', name USING ERRCODE = 'XX999';
END $$;
SQL

# Every function of the server that has a plain name and simple arguments, and many operators, faked
# with the same arguments and with the arguments that a caller would have at hand.
sub fakes
{
	my ($schema) = @_;
	return <<"SQL";
DO \$make\$
DECLARE
	f record;
BEGIN
	FOR f IN
		SELECT DISTINCT ON (p.proname, args) p.proname, args,
		       format_type(p.prorettype, NULL) AS result
		  FROM pg_proc p, pg_get_function_identity_arguments(p.oid) args
		 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
		   AND p.proname IN ('now', 'clock_timestamp', 'transaction_timestamp', 'format',
			'quote_ident', 'current_setting', 'set_config', 'string_agg', 'pg_has_role',
			'has_schema_privilege', 'has_language_privilege', 'pg_get_userbyid', 'pg_notify',
			'nextval', 'setval', 'currval', 'to_regclass', 'pg_advisory_xact_lock', 'int4', 'int8',
			'text', 'timestamptz', 'array_length', 'lower', 'jsonb_build_object', 'row_to_json',
			'to_json', 'json_build_object', 'regclass')
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION $schema.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
				'\$fake\$BEGIN PERFORM evil.spring(%L); RETURN NULL; END\$fake\$',
				f.proname, f.args, f.result, f.proname);
		EXCEPTION WHEN OTHERS THEN
			NULL; -- pseudo-types cannot be returned by PL/pgSQL
		END;
	END LOOP;
END \$make\$;
CREATE FUNCTION $schema.same(text, text) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''=(text,text)''); RETURN true; END';
CREATE FUNCTION $schema.same(name, text) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''=(name,text)''); RETURN true; END';
CREATE FUNCTION $schema.same(oid, oid) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''=(oid,oid)''); RETURN true; END';
CREATE FUNCTION $schema.same(bigint, bigint) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''=(bigint,bigint)''); RETURN true; END';
CREATE FUNCTION $schema.minus(timestamptz, timestamptz) RETURNS interval LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''-(timestamptz,timestamptz)''); RETURN NULL; END';
CREATE FUNCTION $schema.less(bigint, integer) RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''-(bigint,integer)''); RETURN NULL; END';
CREATE OPERATOR $schema.- (FUNCTION = $schema.less, LEFTARG = bigint, RIGHTARG = integer);
CREATE AGGREGATE $schema.min(bigint) (SFUNC = int8larger, STYPE = bigint);
CREATE FUNCTION $schema.joined(text, text) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''||(text,text)''); RETURN NULL; END';
CREATE OPERATOR $schema.= (FUNCTION = $schema.same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR $schema.= (FUNCTION = $schema.same, LEFTARG = name, RIGHTARG = text);
CREATE OPERATOR $schema.= (FUNCTION = $schema.same, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR $schema.= (FUNCTION = $schema.same, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR $schema.<> (FUNCTION = $schema.same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR $schema.~ (FUNCTION = $schema.same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR $schema.- (FUNCTION = $schema.minus, LEFTARG = timestamptz, RIGHTARG = timestamptz);
CREATE OPERATOR $schema.|| (FUNCTION = $schema.joined, LEFTARG = text, RIGHTARG = text);
SQL
}

query(fakes('evil'));
query(<<'SQL');
CREATE TYPE evil.text AS ENUM ('fake');
CREATE TYPE evil.regnamespace AS ENUM ('fake');
CREATE TABLE evil.pg_class (fake int);
CREATE TABLE evil.pg_namespace (fake int);
CREATE TABLE evil.pg_extension (extname text, extversion text);
CREATE VIEW evil.pg_proc AS SELECT evil.spring('pg_proc')::text AS oid;
CREATE VIEW evil.pg_roles AS SELECT evil.spring('pg_roles')::text AS oid;
CREATE VIEW evil.pg_depend AS SELECT evil.spring('pg_depend')::text AS oid;
CREATE FUNCTION evil.procrastinate_defer_job() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE evil.procrastinate_job_status AS ENUM ('fake');
CREATE TYPE evil.procrastinate_job_event_type AS ENUM ('fake');
CREATE TABLE evil.procrastinate_events (fake int);
CREATE TABLE evil.procrastinate_workers (fake int);
SQL
cmp_ok(
	query(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace}),
	'>', 40, 'there are fakes of many functions');
my ($status, $out, $err) =
  $node->psql($database, q{SET search_path = evil, pg_catalog; SELECT clock_timestamp()});
like($err, qr/sprang the trap clock_timestamp/, 'a call without the extension runs a fake');

my @paths =
  ('evil, pg_catalog', 'evil', 'evil, public, pg_catalog, pg_temp', 'pg_temp, evil, pg_catalog');
my $temporary = <<"SQL";
CREATE TEMPORARY TABLE procrastinate_jobs (id int, status int);
CREATE TEMPORARY TABLE procrastinate_schema_history (id int, to_revision text);
CREATE TEMPORARY TABLE procrastinate_events (id int);
CREATE TEMPORARY TABLE pg_extension (extname text, extversion text);
CREATE TEMPORARY TABLE pg_class (id int);
INSERT INTO pg_temp.procrastinate_schema_history VALUES (1, '$HEAD_NAME');
SQL
my @commits = map { revision_name($_) } commit_points(31, $HEAD);
foreach my $path (@paths)
{
	my $before = "$quiet $temporary SET search_path = $path;";
	query(q{DROP SCHEMA IF EXISTS place CASCADE; CREATE SCHEMA place});
	foreach my $call (
		[ q{tools.procrastinate_upgrade('0028', 'place')},         '0028' ],
		[ q{tools.procrastinate_stamp('0028', schema => 'place')}, '0028' ],
		[ q{tools.procrastinate_upgrade('0031', 'place')},         '0031' ],
		(map { [ "tools.procrastinate_upgrade('$_', 'place')", $_ ] } @commits),
		[ q{tools.procrastinate_upgrade('head', 'place')},         $HEAD_NAME ],
		[ q{* FROM tools.procrastinate_current('place')},          qr/^$HEAD_NAME\|t\|/ ],
		[ q{pg_catalog.count(*) FROM tools.procrastinate_history(schema => 'place')}, $HEAD ],
		[ q{pg_catalog.count(*) FROM tools.procrastinate_pending(schema => 'place')}, '0' ],
		[ q{pg_catalog.count(*) FROM tools.procrastinate_log('place')},               $HEAD + 1 ],
		[   q{pg_catalog.left(tools.procrastinate_sql('base:', 'place'), 2)},
			'--' ],
		[ q{revision FROM tools.procrastinate_show('3.1.0')}, '0033' ],
		[ q{* FROM tools.procrastinate_detect('place')},      "$HEAD_NAME|t|0|0|0" ],
		[ q{pg_catalog.count(*) FROM tools.procrastinate_check(schema => 'place')}, '0' ],
		[ q{tools.procrastinate_stamp('0020', false, 'place')},                     '0020' ],
		[ q{tools.procrastinate_adopt('place')},                                  qr/^$HEAD_NAME/ ],
		[   q{pg_catalog.count(*)}
			  . q{ FROM tools.procrastinate_repair(schema => 'place', dry_run => false)},
			'0' ])
	{
		($status, $out, $err) = $node->psql($database, "$before SELECT $call->[0]");
		ref $call->[1]
		  ? like("$out$err", $call->[1], "with search_path $path: $call->[0]")
		  : is("$out$err", $call->[1], "with search_path $path: $call->[0]");
	}
	is_at($node, $database, 'place', $HEAD, 'the catalog is that of head');
	query(q{DROP SCHEMA place CASCADE; CREATE SCHEMA place});
	($status, $out, $err) =
	  $node->psql($database, "$before CALL tools.procrastinate_migrate('head', 'place')");
	is($err, '', "the procedure with search_path $path");
	is_at($node, $database, 'place', $HEAD, "the procedure with search_path $path makes head");
	query(
		q{DROP SCHEMA place CASCADE; CREATE SCHEMA place; SELECT}
		  . q{ tools.procrastinate_upgrade('0023', 'place');}
		  . q{ SET search_path = place; INSERT INTO procrastinate_jobs (queue_name, task_name)}
		    . q{ VALUES ('queue', 'task')}
	);
	($status, $out, $err) =
	  $node->psql($database, "$before CALL tools.procrastinate_migrate('0024', 'place')");
	is($err, '', "its batches with search_path $path");
	is_at($node, $database, 'place', 24, "its batches with search_path $path make 0024");
}
is( query(
		q{SELECT count(*) FROM pg_class WHERE relnamespace = 'evil'::regnamespace AND relkind = 'r'}
	),
	'6',
	'no table was created in the hostile schema');
($status, $out, $err) = $node->psql(
	$database,
	"$quiet SET search_path = evil, pg_catalog; SELECT tools.procrastinate_upgrade('0003', 'evil')");
like($err, qr/schema "evil" holds Procrastinate's objects/,
	'the hostile schema is not taken for an installation');

# ---- Fakes in the installation's own schema, where its owner lets others create -----------------

# A function whose arguments fit better than those of the server's own one is preferred wherever it
# is found: code that checks a schema must not look into it.
my $better = <<'SQL';
CREATE FUNCTION SCHEMA.format(text, name, name) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''format(name,name)''); RETURN NULL; END';
CREATE FUNCTION SCHEMA.format(text, text, text) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''format(text,text)''); RETURN NULL; END';
CREATE FUNCTION SCHEMA.format(text, text) RETURNS text LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''format(text)''); RETURN NULL; END';
CREATE FUNCTION SCHEMA.same(name, name) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''~~(name,name)''); RETURN true; END';
CREATE FUNCTION SCHEMA.same("char", text) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''=(char,text)''); RETURN true; END';
CREATE OPERATOR SCHEMA.= (FUNCTION = SCHEMA.same, LEFTARG = "char", RIGHTARG = text);
CREATE FUNCTION SCHEMA.unequal(name, text) RETURNS boolean LANGUAGE plpgsql
	AS 'BEGIN PERFORM evil.spring(''<>(name,text)''); RETURN true; END';
SQL
my $plain = 'plain';
$node->safe_psql('postgres', "CREATE DATABASE $plain");
$node->safe_psql($plain,     <<'SQL');
CREATE SCHEMA evil;
CREATE FUNCTION evil.spring(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'sprang the trap %', name USING ERRCODE = 'XX999';
END $$;
SQL
foreach my $schema ('place', 'other')
{
	$node->safe_psql(
		$_,
		"$quiet DROP SCHEMA IF EXISTS $schema CASCADE; CREATE SCHEMA $schema;"
		  . fakes($schema)
		  . ($better =~ s/SCHEMA/$schema/gr))
	  foreach $database, $plain;
}
foreach my $target ((map { revision_name($_) } 1, commit_points(1, $HEAD)), 'head')
{
	($status, $out, $err) = $node->psql(
		$database,
		"$quiet SELECT tools.procrastinate_upgrade('$target', 'place');"
		  . " SELECT tools.procrastinate_stamp('$target', schema => 'place')");
	is($err, '', "fakes in the schema itself are not used by an upgrade to $target");
}
foreach my $range ('base:0028', '0028:head', '0001:head')
{
	my $script = query(qq{SELECT tools.procrastinate_sql('$range', 'place')});
	my $path   = PostgreSQL::Test::Utils::tempdir() . "/script.sql";
	open(my $file, '>', $path) or die "cannot write $path: $!";
	print $file $script;
	close $file;
	IPC::Run::run(
		[   $node->installed_command('psql'), qw(-Xq -v ON_ERROR_STOP=1 -f),
			$path,                            '-d',
			$node->connstr($plain) ],
		'>',
		\$out,
		'2>',
		\$err);
	unlike($err, qr/sprang/, "fakes in the schema itself are not used by the script $range");
}

# ---- Fakes in the schema in which the extension is created --------------------------------------

# Operators of all kinds that the server has not got itself, and would find a way around.
my $born = 'born';
$node->safe_psql('postgres', "CREATE DATABASE $born");
$node->safe_psql($born,      <<'SQL');
CREATE SCHEMA shared;
DO $$
DECLARE
	types text[] := '{oid, int2, int4, int8, name, text, regnamespace, "char", bool, int4[], oid[],
		text[], timestamptz, interval}';
	one text;
	other text;
	operator text;
BEGIN
	FOREACH one IN ARRAY types LOOP
		FOREACH other IN ARRAY types LOOP
			EXECUTE format(
				'CREATE FUNCTION shared.fake(%s, %s) RETURNS boolean LANGUAGE plpgsql AS %L',
				one, other,
				format('BEGIN RAISE ''sprang the trap of %s and %s''; END', one, other));
			FOREACH operator IN ARRAY '{=, <>, <, >, -, ||, ~}'::text[] LOOP
				CONTINUE WHEN to_regoperator(
					format('pg_catalog.%s (%s, %s)', operator, one, other)) IS NOT NULL;
				EXECUTE format('CREATE OPERATOR shared.%s'
					' (FUNCTION = shared.fake, LEFTARG = %s, RIGHTARG = %s)', operator, one, other);
			END LOOP;
		END LOOP;
	END LOOP;
END $$;
CREATE FUNCTION shared.cardinality(int4[]) RETURNS int4 LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shared.concat(name, text, text) RETURNS text LANGUAGE sql AS 'SELECT $2';
CREATE AGGREGATE shared.array_agg(int4) (SFUNC = array_append, STYPE = int4[]);
CREATE EXTENSION procrastinate_migrate SCHEMA shared;
SQL
cmp_ok(
	$node->safe_psql(
		$born, q{SELECT count(*) FROM pg_operator WHERE oprnamespace = 'shared'::regnamespace}),
	'>', 1000,
	'there are many fakes');
is( $node->safe_psql($born,
		<<'SQL'), 'function shared.procrastinate_get_progress()', 'the view uses no fake');
SELECT string_agg(pg_describe_object(refclassid, refobjid, 0), E'\n')
  FROM pg_depend
 WHERE classid = 'pg_rewrite'::regclass AND refclassid IN ('pg_operator'::regclass,
 'pg_proc'::regclass)
   AND objid = (SELECT oid FROM pg_rewrite
	 WHERE ev_class = 'shared.procrastinate_progress'::regclass)
SQL

# There jobs are migrated, at once and by steps.
$node->safe_psql($born, <<'SQL');
SET client_min_messages = error;
SELECT shared.procrastinate_upgrade('0001', 'shared');
SET session_replication_role = replica;
INSERT INTO shared.procrastinate_jobs (queue_name, task_name, lock, status) VALUES ('q', 'a', 'a',
	'todo'), ('q', 'b', 'b', 'doing'), ('q', 'c', 'c', 'failed');
INSERT INTO shared.procrastinate_events (job_id, type, at) SELECT id, 'deferred', now()
  FROM shared.procrastinate_jobs;
SQL

# Those that triggers of the schema would find.
$node->safe_psql($born, <<'SQL');
DO $$
DECLARE
	one text;
BEGIN
	FOREACH one IN ARRAY '{procrastinate_job_status, procrastinate_job_event_type, varchar}'::text[]
	LOOP
		EXECUTE format(
			'CREATE FUNCTION shared.fake(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS %2$L',
			CASE one WHEN 'varchar' THEN one ELSE 'shared.' || one END,
			format('BEGIN RAISE ''sprang the trap of %s''; END', one));
		EXECUTE format(
			'CREATE OPERATOR shared.= (FUNCTION = shared.fake, LEFTARG = %1$s, RIGHTARG = %1$s)',
			CASE one WHEN 'varchar' THEN one ELSE 'shared.' || one END);
	END LOOP;
END $$;
SQL
($status, $out, $err) = $node->psql($born, 'SET search_path = shared; SELECT 1::oid = 1::int4');
like($err, qr/sprang the trap of oid and int4/, 'a query without the extension runs a fake');
foreach my $statement (
	q{BEGIN; SELECT shared.procrastinate_upgrade('0028', 'shared'); ROLLBACK},
	q{CALL shared.procrastinate_migrate('0030', 'shared')},
	q{SET session_replication_role = replica; UPDATE shared.procrastinate_jobs SET status =}
	  . q{ 'aborting', abort_requested = true WHERE id = 2},
	q{CALL shared.procrastinate_migrate('head', 'shared')},
	map { "SELECT * FROM shared.procrastinate_$_" } q{current('shared')}, q{log('shared')},
	q{check(schema => 'shared')},
	q{detect('shared')},            q{repair(schema => 'shared')}, q{plan('head', 'shared')},
	q{history(schema => 'shared')}, 'progress')
{
	($status, $out, $err) = $node->psql($born,
		"SET client_min_messages = error; SET search_path = pg_catalog; $statement");
	is($err, '', "no fake is used by $statement");
}

$node->stop;
done_testing();
