-- Many installations in one database, in schemas with unusual names; choice by search_path.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
\pset format unaligned
\pset null NULL
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE TABLE public.names (n int PRIMARY KEY, name text);
INSERT INTO public.names VALUES
    (1, 'plain_schema'), (2, 'odd "name"'), (3, $$Robert'); DROP$$), (4, 'größe 象'),
    (5, repeat('n', 63)), (6, repeat('é', 31) || 'x'), (7, E'new\nline'), (8, '$check$'),
    (9, '$$ dollars $1'),
    (10, E'back\\slash'), (11, ':var :''var'' :"var"'), (12, E'\\! echo'), (13, 'select'),
    (14, 'UPPER'), (15, ' '),
    (16, '.'), (17, 'a.b'), (18, '%s %I %'), (19, '1'), (20, '"'), (21, ''''), (22, E'tab\there'),
    (23, '"$user"'), (24, '/* comment'), (25, '-- comment'), (26, '$function$'), (27, '$recorded$'),
    (28, '$function$;SELECT 1/0;SELECT $function$'),
    (29, '$function$;SELECT 1/0;SELECT $function$ ');
SELECT n, octet_length(name) FROM public.names WHERE n IN (5, 6);
SELECT format('CREATE SCHEMA %I', name) FROM public.names ORDER BY n \gexec

-- every other one comes to 0028 by the steps of procrastinate_migrate()
SELECT n, procrastinate_upgrade('0002', quote_ident(name)::regnamespace) FROM public.names
  WHERE n % 2 = 1 ORDER BY n;
SELECT format('CALL procrastinate_migrate(''0028'', %L)', name) FROM public.names
  WHERE n % 2 = 1 ORDER BY n \gexec

-- The outcome of the whole tour in a schema: installed in steps and at once, read by every
-- function.
CREATE FUNCTION public.tour(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    place CONSTANT regnamespace := quote_ident(name)::regnamespace;
    result text := '';
BEGIN
    IF NOT EXISTS (SELECT FROM procrastinate_current(place)) THEN
        result := procrastinate_upgrade('0003', place);
        result := result || ' ' || procrastinate_stamp('0003', schema => place);
    END IF;
    result := result || ' ' || procrastinate_upgrade('0028', place);
    result := result || ' ' || (SELECT revision FROM procrastinate_current(place));
    result := result || ' ' || (SELECT count(*) FROM procrastinate_history(schema => place)
      WHERE is_applied);
    result := result || ' ' || (SELECT count(*) FROM procrastinate_pending('0038', place));
    result := result || ' ' || (SELECT count(*) FROM procrastinate_log(place)
      WHERE event !~ '^step ');
    result := result || ' ' || (length(procrastinate_sql('current:', place)) > 1000)::text;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN result || ' ' || sqlstate || ': ' || sqlerrm;
END $$;
SELECT n, public.tour(name) FROM public.names ORDER BY n;
-- every one has the same objects, and nothing went anywhere else
SELECT array_agg(n ORDER BY n), relations, functions, types
  FROM (SELECT n, (SELECT count(*) FROM pg_class WHERE relnamespace = s.oid) AS relations,
               (SELECT count(*) FROM pg_proc WHERE pronamespace = s.oid) AS functions,
               (SELECT count(*) FROM pg_type WHERE typnamespace = s.oid AND typtype = 'e') AS types
          FROM public.names JOIN pg_namespace s ON nspname = name) AS c
 GROUP BY relations, functions, types;
SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
       AND relname LIKE 'procrastinate%' AND relkind <> 'v';
-- 0029 and on, by the steps of procrastinate_migrate() for the others, and in a transaction of its
-- own
SELECT format('CALL procrastinate_migrate(schema => %L)', name) FROM public.names
  WHERE n % 2 = 0 ORDER BY n \gexec
SELECT format('CALL pg_temp.upgrade_to_last_commit(%L)', quote_ident(name)) FROM public.names
  ORDER BY n \gexec
SELECT n, procrastinate_upgrade('head', quote_ident(name)::regnamespace) = :'head' AS at_head
  FROM public.names ORDER BY n;
SELECT format('CALL procrastinate_migrate(schema => %L)', name) FROM public.names
  ORDER BY n \gexec

-- in search_path, without an argument
SELECT format('SET search_path = %I, public', name) FROM public.names WHERE n = 3 \gexec
SELECT revision = :'head' AS at_head FROM procrastinate_current();
SELECT procrastinate_upgrade() = :'head' AS at_head;
SELECT format('SET search_path = %I, public', name) FROM public.names WHERE n = 7 \gexec
SELECT revision = :'head' AS at_head FROM procrastinate_current();
-- jobs can be deferred and fetched there
INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', 'task');
SELECT count(*) FROM procrastinate_events;
RESET search_path;

-- the text of a notice and of a hint names the schema so that it can be pasted
CREATE SCHEMA "tell'); DROP";
SELECT procrastinate_upgrade('0028', $$tell'); DROP$$);
SET client_min_messages = notice;
SELECT procrastinate_upgrade('0028', $$tell'); DROP$$);
RESET client_min_messages;
SELECT procrastinate_stamp('0001', schema => $$tell'); DROP$$);
\echo :LAST_ERROR_SQLSTATE
SET client_min_messages = warning;
DROP SCHEMA "tell'); DROP" CASCADE;

-- ---- which one is meant -------------------------------------------------------------------------
CREATE SCHEMA first_here;
CREATE SCHEMA second_here;
CREATE SCHEMA third_here;
SELECT procrastinate_upgrade('0010', 'second_here');
SELECT procrastinate_upgrade('0020', 'third_here');
-- where procrastinate_jobs is visible
SET search_path = first_here, second_here, third_here, public;
SELECT revision FROM procrastinate_current();
SET search_path = first_here, third_here, second_here, public;
SELECT revision FROM procrastinate_current();
-- else where a history is
ALTER TABLE second_here.procrastinate_jobs RENAME TO moved_away;
SET search_path = first_here, second_here, public;
SELECT revision FROM procrastinate_current();
ALTER TABLE second_here.moved_away RENAME TO procrastinate_jobs;
-- else the current schema
SET search_path = first_here, public;
-- an installation is elsewhere: a reader says so, a change asks for the name
SET client_min_messages = notice;
SELECT count(*) FROM procrastinate_current();
SET client_min_messages = warning;
SELECT procrastinate_upgrade('0001');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0001', verify => false);
CALL procrastinate_migrate('0001');
SELECT count(*) FROM procrastinate_repair(dry_run => false);
SELECT procrastinate_upgrade('0001', 'first_here');
SELECT revision FROM procrastinate_current('first_here');
-- a temporary table is no installation
CREATE TEMPORARY TABLE procrastinate_jobs (id int);
CREATE TEMPORARY TABLE procrastinate_schema_history (to_revision text);
SELECT revision FROM procrastinate_current();
SET search_path = pg_temp, second_here, public;
SELECT revision FROM procrastinate_current();
DROP TABLE pg_temp.procrastinate_jobs, pg_temp.procrastinate_schema_history;
RESET search_path;

-- ---- renaming a schema takes its history along --------------------------------------------------
ALTER SCHEMA second_here RENAME TO "renamed; now";
SELECT revision FROM procrastinate_current('renamed; now');
SELECT procrastinate_upgrade('0012', 'renamed; now');
SELECT count(*), max(to_revision) FROM procrastinate_log('renamed; now');

-- ---- the argument, of every type that names a schema --------------------------------------------
CREATE SCHEMA "Tenant-7";
SELECT procrastinate_upgrade('0003', 'Tenant-7');
SELECT revision FROM procrastinate_current(schema => 'Tenant-7');
SELECT revision FROM procrastinate_current('Tenant-7'::text);
SELECT revision FROM procrastinate_current('Tenant-7'::varchar);
SELECT revision FROM procrastinate_current('Tenant-7'::name);
SELECT revision FROM procrastinate_current('Tenant-7'::char(20));
SELECT revision FROM procrastinate_current('Tenant-7'::information_schema.sql_identifier);
SELECT revision FROM procrastinate_current('"Tenant-7"'::regnamespace);
SELECT revision FROM procrastinate_current('"Tenant-7"'::regnamespace::oid);
SELECT nspname, revision FROM pg_namespace, procrastinate_current(nspname)
 WHERE nspname LIKE 'Tenant%';
PREPARE of_tenant AS SELECT revision FROM procrastinate_current($1);
EXECUTE of_tenant('Tenant-7');
EXECUTE of_tenant(NULL);
CREATE VIEW of_tenant AS SELECT revision FROM procrastinate_current('Tenant-7');
SELECT * FROM of_tenant;
DROP VIEW of_tenant;
-- texts are not identifiers
SELECT * FROM procrastinate_current('"Tenant-7"');
SELECT * FROM procrastinate_current('TENANTS');
CREATE SCHEMA tenants;
SELECT * FROM procrastinate_current('TENANTS');
SELECT * FROM procrastinate_current('tenants.procrastinate_jobs');
SELECT * FROM procrastinate_current('');
SELECT * FROM procrastinate_current(7);
SELECT procrastinate_upgrade(schema => now());
\echo :LAST_ERROR_SQLSTATE
-- intervals as texts
CALL procrastinate_migrate('0004', 'Tenant-7', '50 ms'::varchar);
CALL procrastinate_migrate('0004', 'Tenant-7', '50 ms'::text, '1 s'::text, force => true);
CALL procrastinate_migrate('0004', 'Tenant-7', interval '50 ms', '1 s');
CALL procrastinate_migrate('0004', 'Tenant-7', '50 monkeys'::text);
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_wait('0004', '1 s'::text, 'Tenant-7');
CALL procrastinate_wait('0004', interval '1 s', 'Tenant-7');
CALL procrastinate_wait('0004', schema => 'Tenant-7');
CALL procrastinate_wait('0004', NULL, 'Tenant-7');
DROP SCHEMA "Tenant-7", tenants CASCADE;

SELECT format('DROP SCHEMA %I CASCADE', name) FROM public.names ORDER BY n \gexec
DROP SCHEMA first_here, "renamed; now", third_here CASCADE;
DROP FUNCTION public.tour(text);
DROP TABLE public.names;

-- ---- a schema without an installation, beside one that has one ----------------------------------
CREATE SCHEMA empty_here;
CREATE SCHEMA "installed there";
CREATE ROLE regress_elsewhere;
GRANT USAGE ON SCHEMA empty_here TO regress_elsewhere;
SET search_path = empty_here, public;
SET client_min_messages = notice;
-- none anywhere
SELECT supported, revision, advice FROM procrastinate_supports('3.9.0');
SELECT procrastinate_require('3.9.0');
SET client_min_messages = warning;
SELECT procrastinate_upgrade('0003', 'installed there');
SET client_min_messages = notice;
SELECT supported, revision, advice FROM procrastinate_supports('3.9.0');
SELECT procrastinate_require('3.9.0');
SELECT supported, revision, advice FROM procrastinate_supports('3.9.0', 'empty_here');
SELECT procrastinate_require('3.9.0', schema => 'empty_here');
SELECT supported, revision FROM procrastinate_supports('0.5.0', schema => 'installed there');
-- it is named to roles that may look into it
SET ROLE regress_elsewhere;
SELECT supported, revision, advice FROM procrastinate_supports('3.9.0');
SELECT procrastinate_require('3.9.0');
-- a change asks all the same
SELECT procrastinate_upgrade('0003');
RESET ROLE;
GRANT USAGE ON SCHEMA "installed there" TO regress_elsewhere;
SET ROLE regress_elsewhere;
SELECT supported, revision, advice FROM procrastinate_supports('3.9.0');
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA empty_here, "installed there" CASCADE;
DROP ROLE regress_elsewhere;

-- the extension can live in any schema, and be moved; its functions belong to a superuser
CREATE SCHEMA tools;
ALTER EXTENSION procrastinate_migrate SET SCHEMA tools;
SELECT count(*), bool_and(is_head) AS is_head FROM tools.procrastinate_heads();
ALTER EXTENSION procrastinate_migrate SET SCHEMA public;
DROP SCHEMA tools;
