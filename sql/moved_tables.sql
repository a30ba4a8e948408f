-- Tables of an installation, other than the jobs table, that were renamed or moved: every call says
-- where they are, and no repair makes a second, empty one. The HINT puts them back.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA moved;
CREATE SCHEMA place;
-- 0036 is fixed: later revisions may have other objects
SELECT procrastinate_upgrade('0036', 'moved');
SET search_path = moved, public;
INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't');
RESET search_path;

-- ---- one table in another schema ----------------------------------------------------------------
ALTER TABLE moved.procrastinate_events SET SCHEMA place;
SELECT procrastinate_upgrade(schema => 'moved');
SELECT procrastinate_repair(schema => 'moved', dry_run => false);
SELECT procrastinate_repair('base', schema => 'moved');
SELECT procrastinate_require('0036', schema => 'moved');
SELECT kind, object, problem, repair FROM procrastinate_check(schema => 'moved');
SELECT revision FROM procrastinate_current('moved');
ALTER TABLE place.procrastinate_events SET SCHEMA moved;

-- ---- several, renamed and moved, without a history ----------------------------------------------
ALTER TABLE moved.procrastinate_events RENAME TO "My events";
ALTER TABLE moved."My events" SET SCHEMA place;
ALTER TABLE moved.procrastinate_periodic_defers RENAME TO defers;
ALTER TABLE moved.procrastinate_workers SET SCHEMA place;
ALTER TABLE moved.procrastinate_schema_history RENAME TO old_history;
SELECT procrastinate_adopt('moved');
SELECT procrastinate_upgrade(schema => 'moved');
SELECT procrastinate_repair('0036', 'moved', dry_run => false);
ALTER TABLE place."My events" RENAME TO procrastinate_events;
ALTER TABLE place.procrastinate_events SET SCHEMA moved;
ALTER TABLE moved.defers RENAME TO procrastinate_periodic_defers;
ALTER TABLE place.procrastinate_workers SET SCHEMA moved;
SELECT procrastinate_adopt('moved');
SELECT (SELECT count(*) FROM moved.procrastinate_jobs) AS jobs,
       (SELECT count(*) FROM moved.procrastinate_events) AS events;

-- ---- a table of the name that does not belong to the jobs table ---------------------------------
DROP TABLE moved.procrastinate_events CASCADE;
CREATE TABLE place.procrastinate_events (id bigint);
SELECT kind, object, problem, repair IS NOT NULL AS has_repair
  FROM procrastinate_check(schema => 'moved') WHERE kind = 'table';
DROP SCHEMA moved, place CASCADE;
