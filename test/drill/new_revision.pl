# scripts/new-revision: what it refuses, and that it changes nothing then or when it is interrupted.
#
# Run by scripts/drill, in a copy of the tree of its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Test::More;

use Procrastinate::Test;
use Procrastinate::Test::NewRevision;

set_up();

my $good = 'CREATE TABLE procrastinate_numbers (id bigint);';
refuses_revision('a name', qr/the name is not/, 'name.sql', $good);
refuses_revision('an old name', qr/comes before/, '00.00.00_02_name.sql', $good);
refuses_revision('an old release', qr/not newer than/, $NAME, $good, '--release', '0.1.0');
refuses_revision('no release', qr/spelled X\.Y\.Z/, $NAME, $good, '--release', '99.99');
refuses_revision('an unknown works-from', qr/no revision: 9999/, $NAME, $good,
	'--release', '99.99.0', '--works-from', '9999');
refuses_revision(
	'a works-from before what the release before needs',
	qr/0001: is before \d{4}, the last/, $NAME, $good,
	'--release', '99.99.0', '--works-from', '0001');
refuses_revision(
	'a file of another release',
	qr/is of release 99\.99\.0, not of 99\.99\.1: add one/, $NAME, $good, '--release', '99.99.1');
refuses_revision('a file without a phase', qr/99\.99\.00_01_name\.sql: has no phase: /,
	'99.99.00_01_name.sql', $good);
refuses_revision('a pre migration after a post migration',
	qr/pre_name\.sql: a pre migration after 99\.99\.00_00_post_name\.sql, a post migration/,
	$NAME, $good, write_migration('99.99.00_00_post_name.sql', $good), '--release', '99.99.0');
refuses_revision('nothing', qr/no statement/, $NAME, '-- nothing; at all');
refuses_revision('a commit', qr/line 2: COMMIT would begin or end/, $NAME, "SELECT 1;\nCOMMIT;");
refuses_revision('a setting', qr/line 1: SET would change/, $NAME, "SET search_path = x;\n$good");
refuses_revision('a string without end', qr/line 1: a string/, $NAME, "SELECT 'x");
refuses_revision('a command of psql', qr/a command of psql/, $NAME, "\\set x 1\n$good");
refuses_revision('other characters', qr/line 1: holds byte 0xe9: only printable ASCII and tabs can/,
	$NAME, "-- \x{e9}\n$good");
refuses_revision('line ends of Windows', qr/line 1: holds a carriage return: only/,
	$NAME, "$good\r\n");
refuses_revision('SQL that fails', qr/does not exist/, $NAME, "$good\nDROP TABLE no_such_table;");

# What src/data cannot express. The label is the reason that is given, up to a colon.
my $body = q{RETURNS int LANGUAGE sql AS 'SELECT 1'};
foreach my $case (
	[ 'the name of schema public', "CREATE FUNCTION public.x() $body" ],
	[ 'the name of schema other',  'CREATE TABLE other.x (id int)' ],
	[ 'the name of schema other',
		'ALTER TABLE procrastinate_jobs ADD FOREIGN KEY (id) REFERENCES other.x' ],
	[ 'the name of schema public',
		q{CREATE FUNCTION x() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM public.x $$} ],
	[ 'the name of schema public',
		q{CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT length(''PUBLIC'')'} ],
	[ 'the name of schema public',
		q{DO $$ BEGIN PERFORM set_config('search_path', $q$"public"$q$, true); END $$} ],
	[ 'the name of schema public', q{SELECT to_regclass('public.procrastinate_jobs')} ],
	[ 'the name of schema public', 'ALTER TABLE procrastinate_jobs RENAME COLUMN lock TO public' ],
	[ 'SET search_path', "CREATE FUNCTION x() $body SET search_path = pg_catalog, pg_temp" ],
	[ 'SET search_path', "CREATE OR REPLACE FUNCTION x() SET search_path TO DEFAULT $body" ],
	[ 'INSERT of values',    "$good INSERT INTO procrastinate_numbers VALUES (1)" ],
	[ 'GRANT',               'GRANT SELECT ON procrastinate_jobs TO PUBLIC' ],
	[ 'REVOKE',              'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog FROM PUBLIC' ],
	[ 'CREATE VIEW',         'CREATE VIEW x AS SELECT 1' ],
	[ 'CREATE MATERIALIZED VIEW', 'CREATE MATERIALIZED VIEW x AS SELECT 1' ],
	[ 'CREATE DOMAIN',       'CREATE DOMAIN x AS int' ],
	[ 'CREATE SEQUENCE',     'CREATE SEQUENCE x' ],
	[ 'CREATE AGGREGATE',    'CREATE AGGREGATE x (int) (SFUNC = int4pl, STYPE = int)' ],
	[ 'CREATE RULE',         'CREATE RULE x AS ON DELETE TO procrastinate_jobs DO ALSO NOTHING' ],
	[ 'CREATE POLICY',       'CREATE POLICY x ON procrastinate_jobs' ],
	[ 'CREATE EXTENSION',    'CREATE EXTENSION hstore' ],
	[ 'CREATE EVENT TRIGGER', 'CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION x()' ],
	[ 'CREATE UNLOGGED TABLE', 'CREATE UNLOGGED TABLE x (id int)' ],
	[ 'CREATE TABLE AS',     'CREATE TABLE x AS SELECT 1' ],
	[ 'CREATE PROCEDURE',    q{CREATE PROCEDURE x() LANGUAGE sql AS 'SELECT 1'} ],
	[ 'ALTER TABLE',         'ALTER TABLE procrastinate_jobs ENABLE ROW LEVEL SECURITY' ],
	[ 'the name "x" in double quotes', qq{CREATE FUNCTION "x"() $body} ],
	[ 'an argument without a name', "CREATE FUNCTION x(a int, timestamp with time zone) $body" ],
	[ 'an argument without a name', "CREATE FUNCTION x(int[]) $body" ],
	[ 'a body without quotes', 'CREATE FUNCTION x(a int) RETURNS int LANGUAGE sql RETURN 1' ],
	[ 'the name "the id"',   'ALTER TABLE procrastinate_jobs ADD COLUMN "the id" int' ],
	[ 'STRICT', q{CREATE FUNCTION x(a int) RETURNS int STRICT LANGUAGE sql AS 'SELECT 1'} ],
	[ 'RETURNS NULL ON NULL INPUT',
		q{CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1' RETURNS NULL ON NULL INPUT} ],
	[ 'FROM CURRENT',        "CREATE FUNCTION x() $body SET work_mem FROM CURRENT" ],
	[ 'ALTER FUNCTION',      'ALTER FUNCTION procrastinate_test_v1() RENAME TO x' ],
	[ 'ALTER FUNCTION',      'ALTER FUNCTION procrastinate_test_v1() STRICT' ],
	[ 'ALTER FUNCTION',      'ALTER FUNCTION procrastinate_test_v1() SECURITY DEFINER' ],
	[ 'ALTER FUNCTION', 'ALTER FUNCTION procrastinate_test_v1() SET search_path = public' ],
	[ 'ALTER ROUTINE',       'ALTER ROUTINE procrastinate_test_v1() SET work_mem = 100' ],
	[ 'CONCURRENTLY',        'CREATE INDEX CONCURRENTLY x ON procrastinate_jobs (id)' ],
	[ 'parameters of an index',
		'CREATE INDEX x ON procrastinate_jobs (id) WITH (fillfactor = 70) WHERE id IS NULL' ],
	[ 'parameters of an index', 'ALTER INDEX procrastinate_jobs_test_idx SET (fillfactor = 70)' ],
	[ 'parameters of an index', 'CREATE TABLE x (a int UNIQUE WITH (fillfactor = 70))' ],
	[ 'parameters of an index',
		'ALTER TABLE procrastinate_jobs ADD CONSTRAINT x UNIQUE (id) WITH (fillfactor = 70)' ],
	[ 'a generated column',  'CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a * 2) STORED)' ],
	[ 'a generated column',
		'ALTER TABLE procrastinate_jobs ADD x int GENERATED ALWAYS AS (id * 2) STORED' ],
	[ 'COLLATE',             'CREATE TABLE x (a text COLLATE "C")' ],
	[ 'COLLATE',             'ALTER TABLE procrastinate_jobs ADD COLUMN x text COLLATE "C"' ],
	[ 'COLLATE', 'ALTER TABLE procrastinate_jobs ALTER COLUMN lock TYPE text COLLATE "C"' ],
	[ 'COLLATE',             'CREATE TYPE x AS (a text COLLATE "C")' ],
	[ 'DISABLE TRIGGER',     'ALTER TABLE procrastinate_jobs DISABLE TRIGGER ALL' ],
	[ 'ENABLE REPLICA TRIGGER', 'ALTER TABLE procrastinate_jobs ENABLE REPLICA TRIGGER x' ],
	[ 'CREATE CONSTRAINT TRIGGER',
		'CREATE CONSTRAINT TRIGGER x AFTER INSERT ON procrastinate_jobs EXECUTE FUNCTION x()' ],
	[ q{the label 'it''s'},  q{CREATE TYPE x AS ENUM ('it''s')} ],
	[ q{the label 'a, b'},   q{ALTER TYPE procrastinate_job_status ADD VALUE 'a, b'} ])
{
	my ($reason, $sql) = @$case;
	refuses_revision($sql, qr/line 1: \Q$reason\E: /, $NAME, "$sql;");
}

# What is none of these.
{
	my ($is_done, $text) = new_revision($NAME, <<'SQL');
CREATE TABLE procrastinate_allowed (
    id bigint GENERATED ALWAYS AS IDENTITY, "collate" text, strict int, CHECK (id IS NOT NULL)
) WITH (fillfactor = 70);
ALTER TABLE procrastinate_allowed SET (fillfactor = 80);
CREATE INDEX procrastinate_allowed_idx ON procrastinate_allowed ("collate" COLLATE ucs_basic);
CREATE FUNCTION procrastinate_allowed(strict int, note text DEFAULT 'in public') RETURNS int
LANGUAGE sql CALLED ON NULL INPUT SET work_mem = '1MB'
AS 'SELECT strict /* public. A comment. */ + length(''public: no'')';
COMMENT ON TABLE procrastinate_allowed IS 'GENERATED ALWAYS AS (x), DISABLE TRIGGER, STRICT';
COMMENT ON COLUMN procrastinate_allowed.id IS 'as in public.procrastinate_jobs';
SQL
	ok($is_done, 'what src/data can express: done') or diag $text;
	start_over();
}

# What is seen only after the migrations have run.
refuses_revision(
	'rows by a DO block', qr/leave rows in \S+procrastinate_numbers, and head\.sql has no rows/,
	$NAME, "$good DO \$\$ BEGIN INSERT INTO procrastinate_numbers VALUES (1); END \$\$;");
refuses_revision('a privilege by a DO block', qr/change privileges of procrastinate_jobs/,
	$NAME, 'DO $$ BEGIN GRANT SELECT ON procrastinate_jobs TO pg_monitor; END $$;');
refuses_revision(
	'a view by a DO block', qr/a kind that structure\.tsv does not have: other view/,
	$NAME, 'DO $$ BEGIN CREATE VIEW x AS SELECT 1; END $$;');
refuses_revision(
	'what the build refuses', qr{would be written:\nsrc/migrations/\S+:2: uses label 'paused'},
	$NAME, <<'SQL');
ALTER TYPE procrastinate_job_status ADD VALUE 'paused';
DO $$ BEGIN IF false THEN PERFORM 'paused'; END IF; END $$;
SQL

refuses_revision('a file without a new name', qr/in the chain already/,
	'99.98.00_01_pre_objects.sql', $good, '--release', '199.0.0');

foreach my $signal (qw(INT TERM HUP))
{
	my $before = state_of_tree();
	my ($status, $text) = interrupted($signal, $NAME, 'SELECT pg_sleep(1000);');
	is($status >> 8, 1, "interrupted by $signal: fails");
	like($text, qr/^new-revision: interrupted\nnew-revision: nothing has been changed$/m,
		"interrupted by $signal: says so");
	is(state_of_tree(), $before, "interrupted by $signal: changes nothing");
}

done_testing();
