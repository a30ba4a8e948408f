# Objects under another name: at each revision all constraints, indexes, sequences and triggers are
# renamed. procrastinate_check() names each as renamed and nothing else, procrastinate_detect()
# still finds the revision, and procrastinate_repair() gives each its name back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use PostgreSQL::Test::Utils;
use Test::More;

use Procrastinate::Test;

my $node     = start_server();
my $database = new_database($node);
my $schema   = $ODD_SCHEMA;
my $named    = lit($schema);

$node->safe_psql($database, <<"SQL");
CREATE SCHEMA ${\name($schema)};

-- All names of constraints, indexes, sequences and triggers, and the statements that change them.
CREATE VIEW object AS
SELECT 'constraint' AS kind, k.conname::text AS name, k.oid,
       format('ALTER TABLE %s RENAME CONSTRAINT %I TO', k.conrelid::regclass, k.conname) AS rename
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.connamespace = quote_ident($named)::regnamespace AND k.contype NOT IN ('n', 't')
   AND c.relname <> 'procrastinate_schema_history'
UNION ALL
SELECT 'index', i.relname, i.oid, format('ALTER INDEX %s RENAME TO', i.oid::regclass)
  FROM pg_index x
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_class t ON t.oid = x.indrelid
 WHERE i.relnamespace = quote_ident($named)::regnamespace
   AND t.relname <> 'procrastinate_schema_history'
   AND NOT EXISTS (SELECT FROM pg_constraint k
                    WHERE k.conindid = i.oid AND k.contype IN ('p', 'u'))
UNION ALL
SELECT 'sequence', s.relname, s.oid, format('ALTER SEQUENCE %s RENAME TO', s.oid::regclass)
  FROM pg_class s
 WHERE s.relnamespace = quote_ident($named)::regnamespace AND s.relkind = 'S'
   AND s.relname <> 'procrastinate_schema_history_id_seq'
UNION ALL
SELECT 'trigger', t.tgname, t.oid,
       format('ALTER TRIGGER %I ON %s RENAME TO', t.tgname, t.tgrelid::regclass)
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = quote_ident($named)::regnamespace AND NOT t.tgisinternal;

-- Renames all and repairs all, in a transaction that is undone.
CREATE FUNCTION tried(at text, OUT renamed int, OUT told text[], OUT nearest text,
                      OUT failed text[], OUT left_over text[], OUT lost text[])
LANGUAGE plpgsql AS \$\$
DECLARE
    one record;
BEGIN
    CREATE TEMP TABLE before ON COMMIT DROP AS SELECT kind, name, oid FROM object;
    renamed := (SELECT count(*) FROM before);
    FOR one IN SELECT rename, format('other %s''s "name"', row_number() OVER ()) AS name
                 FROM object
    LOOP
        EXECUTE format('%s %I', one.rename, one.name);
    END LOOP;
    -- The object of a constraint or trigger has its table in front.
    told := ARRAY(SELECT b.kind || ' ' || b.name FROM before b
                   WHERE NOT EXISTS (SELECT FROM procrastinate_check(at, $named) c
                                      WHERE c.kind = b.kind AND c.problem = 'renamed'
                                        AND b.name = split_part(c.object, '.', CASE
                                            WHEN b.kind IN ('constraint', 'trigger')
                                            THEN 2 ELSE 1 END))
                  UNION ALL
                  SELECT c.problem || ' ' || c.object FROM procrastinate_check(at, $named) c
                   WHERE c.problem <> 'renamed' OR c.repair IS NULL);
    nearest := (SELECT d.revision FROM procrastinate_detect($named) d LIMIT 1);
    failed := ARRAY(SELECT r.object || ': ' || r.error
                      FROM procrastinate_repair(schema => $named, dry_run => false) r
                     WHERE r.error IS NOT NULL);
    left_over := ARRAY(SELECT c.problem || ' ' || c.object FROM procrastinate_check(at, $named) c);
    -- the same objects, no second copy
    lost := ARRAY(SELECT d.name FROM (SELECT kind, name, oid FROM object EXCEPT TABLE before) d
                  UNION ALL
                  SELECT d.name FROM (TABLE before EXCEPT SELECT kind, name, oid FROM object) d);
END \$\$;
SQL

my $count = 0;
foreach my $revision (1 .. $HEAD)
{
	my $at = revision_name($revision);
	upgrade($node, $database, $revision, $schema);
	my ($renamed, @results) = split /\|/,
	  $node->safe_psql($database, "BEGIN; SELECT * FROM tried('$at'); ROLLBACK"), -1;
	$count += $renamed;
	is(join('|', @results),
		"{}|$at|{}|{}|{}", "$at: $renamed objects are renamed, told and mended");
}
cmp_ok($count, '>', 15 * $HEAD, 'objects were renamed');

$node->stop;
done_testing();
