-- What has the name of the jobs table and is none: a view, a partitioned table. And a jobs table
-- that was renamed or moved to another schema.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
\pset format unaligned
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA real_jobs;
SELECT procrastinate_upgrade('0031', schema => 'real_jobs');

-- a view in front of the table is no installation
CREATE SCHEMA version_one;
CREATE VIEW version_one.procrastinate_jobs AS SELECT * FROM real_jobs.procrastinate_jobs;
SET search_path = version_one, real_jobs, public;
SELECT revision FROM procrastinate_current();
SELECT revision, exact FROM procrastinate_detect();
SELECT procrastinate_upgrade('0032');
SELECT revision FROM procrastinate_current('real_jobs');
DROP SCHEMA version_one CASCADE;

-- a partitioned table is called that, and nobody is told to drop the history
SET search_path = real_jobs, public;
ALTER TABLE procrastinate_jobs RENAME TO unpartitioned_jobs;
CREATE TABLE procrastinate_jobs (LIKE unpartitioned_jobs INCLUDING DEFAULTS)
    PARTITION BY LIST (queue_name);
SELECT procrastinate_upgrade('head');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_supports('2.0.0');
CALL procrastinate_wait('0031', '0 s');
SELECT count(*) FROM procrastinate_repair();
SELECT actual FROM procrastinate_check() WHERE kind = 'table' AND object = 'procrastinate_jobs';
DROP TABLE procrastinate_jobs;
CREATE VIEW procrastinate_jobs AS SELECT * FROM unpartitioned_jobs;
SELECT procrastinate_upgrade('head', schema => 'real_jobs');
DROP VIEW procrastinate_jobs;
ALTER TABLE unpartitioned_jobs RENAME TO procrastinate_jobs;
-- so are the other tables
ALTER TABLE procrastinate_events RENAME TO unpartitioned_events;
CREATE TABLE procrastinate_events (LIKE unpartitioned_events) PARTITION BY LIST (type);
SELECT procrastinate_upgrade('head');
SELECT count(*) FROM procrastinate_repair();
DROP TABLE procrastinate_events;
CREATE FOREIGN DATA WRAPPER regress_elsewhere;
CREATE SERVER regress_elsewhere FOREIGN DATA WRAPPER regress_elsewhere;
CREATE FOREIGN TABLE procrastinate_events (id bigint NOT NULL) SERVER regress_elsewhere;
SELECT procrastinate_upgrade('head');
SELECT count(*) FROM procrastinate_repair();
DROP FOREIGN DATA WRAPPER regress_elsewhere CASCADE;
ALTER TABLE unpartitioned_events RENAME TO procrastinate_events;
SELECT procrastinate_upgrade('0033');
RESET search_path;
DROP SCHEMA real_jobs CASCADE;

-- a jobs table that was renamed is found, and the HINT puts it back
CREATE SCHEMA "Moved";
SELECT procrastinate_upgrade('0035', schema => 'Moved');
ALTER TABLE "Moved".procrastinate_jobs RENAME TO "Jobs renamed";
SELECT revision, source FROM procrastinate_current('Moved');
SELECT procrastinate_upgrade(schema => 'Moved');
CALL procrastinate_migrate(schema => 'Moved');
SELECT procrastinate_require('0035', schema => 'Moved');
SELECT * FROM procrastinate_supports('3.0.0', 'Moved');
SELECT procrastinate_adopt('Moved');
ALTER TABLE "Moved"."Jobs renamed" RENAME TO procrastinate_jobs;

-- so is one that was moved, or both
CREATE SCHEMA moved_to;
ALTER TABLE "Moved".procrastinate_jobs SET SCHEMA moved_to;
SELECT procrastinate_upgrade(schema => 'Moved');
ALTER TABLE moved_to.procrastinate_jobs RENAME TO jobs;
SELECT procrastinate_upgrade(schema => 'Moved');

-- a view in its place
CREATE VIEW "Moved".procrastinate_jobs AS SELECT * FROM moved_to.jobs;
SELECT revision, source FROM procrastinate_current('Moved');
SELECT procrastinate_upgrade(schema => 'Moved');
DROP VIEW "Moved".procrastinate_jobs;
ALTER TABLE moved_to.jobs RENAME TO procrastinate_jobs;
ALTER TABLE moved_to.procrastinate_jobs SET SCHEMA "Moved";
SELECT procrastinate_upgrade('0036', 'Moved');

-- another installation is not taken for it, nor is a copy of the table
SELECT procrastinate_upgrade('0036', schema => 'moved_to');
CREATE TABLE "Moved".backup AS SELECT * FROM "Moved".procrastinate_jobs;
DROP TABLE "Moved".procrastinate_jobs CASCADE;
SELECT procrastinate_upgrade(schema => 'Moved');
DROP SCHEMA moved_to CASCADE;
DROP SCHEMA "Moved" CASCADE;

-- all but the history was moved
CREATE SCHEMA moved_to;
CREATE SCHEMA old;
SELECT procrastinate_upgrade('0036', schema => 'moved_to');
ALTER TABLE moved_to.procrastinate_schema_history SET SCHEMA old;
SELECT procrastinate_upgrade('0037', schema => 'old');
ALTER TABLE old.procrastinate_schema_history SET SCHEMA moved_to;
SELECT procrastinate_upgrade('0037', schema => 'moved_to');
DROP SCHEMA moved_to CASCADE;
DROP SCHEMA old CASCADE;

-- a schema that holds nothing but a view of the name
CREATE SCHEMA views;
CREATE TABLE views.data (id bigint);
CREATE VIEW views.procrastinate_jobs AS SELECT * FROM views.data;
SELECT revision, source FROM procrastinate_current('views');
CREATE PROCEDURE pg_temp.refused(call text) LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE call;
    RAISE WARNING '% succeeded', call;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RAISE WARNING E'%\n% %\n%\n%', call, SQLSTATE, message, detail, hint;
END $$;
CREATE VIEW pg_temp.calls (number, call) AS VALUES
    (1, 'SELECT procrastinate_upgrade(schema => ''views'')'),
    (2, 'SELECT procrastinate_upgrade(''0006'', schema => ''views'')'),
    (3, 'SELECT procrastinate_adopt(schema => ''views'')'),
    (4, 'SELECT procrastinate_adopt(schema => ''views'', copy => true)'),
    (5, 'SELECT procrastinate_stamp(''0006'', schema => ''views'', verify => false)'),
    (6, 'SELECT procrastinate_stamp(''base'', schema => ''views'')'),
    (7, 'SELECT * FROM procrastinate_repair(schema => ''views'')'),
    (8, 'SELECT * FROM procrastinate_repair(''0006'', schema => ''views'', dry_run => false)'),
    (9, 'SELECT * FROM procrastinate_supports(''3.0.0'', schema => ''views'')'),
    (10, 'SELECT procrastinate_require(''head'', schema => ''views'')'),
    (11, 'SELECT * FROM procrastinate_pending(schema => ''views'')'),
    (12, 'SELECT * FROM procrastinate_plan(schema => ''views'')'),
    (13, 'SELECT * FROM procrastinate_check(schema => ''views'')');
SELECT format('CALL pg_temp.refused(%L)', call) FROM pg_temp.calls ORDER BY number \gexec
CALL procrastinate_migrate(schema => 'views');

-- first in search_path, with no other installation
SET search_path = views, public;
SELECT procrastinate_upgrade();
RESET search_path;

-- other kinds; the HINT names the schema that has an installation
CREATE SCHEMA real_jobs;
SELECT procrastinate_upgrade('0028', schema => 'real_jobs');
SELECT procrastinate_upgrade(schema => 'views');
DROP VIEW views.procrastinate_jobs;
CREATE MATERIALIZED VIEW views.procrastinate_jobs AS SELECT * FROM views.data;
SELECT procrastinate_upgrade(schema => 'views');
DROP SCHEMA real_jobs CASCADE;
SELECT procrastinate_upgrade(schema => 'views');
ALTER MATERIALIZED VIEW views.procrastinate_jobs RENAME TO other_jobs;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE views.procrastinate_jobs (id bigint) SERVER nowhere;
SELECT procrastinate_upgrade(schema => 'views');
ALTER FOREIGN TABLE views.procrastinate_jobs RENAME TO foreign_jobs;
SELECT procrastinate_upgrade('0006', schema => 'views');
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP SCHEMA views CASCADE;
