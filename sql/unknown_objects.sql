-- Objects of Procrastinate's names that no known revision has: a later release has been here, or
-- somebody has chosen such names. procrastinate_detect and _check tell them, a change stops.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA unknown_objects;
SET search_path = unknown_objects, public;
-- 0035 is fixed: later revisions are needed for an upgrade
SELECT procrastinate_upgrade('0035');
DROP TABLE procrastinate_schema_history;
CREATE TABLE procrastinate_paused_queues (id bigserial PRIMARY KEY, queue_name text);
CREATE TYPE procrastinate_lock_mode AS ENUM ('ordered', 'mutex');
CREATE FUNCTION procrastinate_pause_queue_v1(queue text, at timestamptz) RETURNS void
    LANGUAGE sql AS 'SELECT';
SELECT revision, exact, missing, extra, altered FROM procrastinate_detect();
SELECT kind, object, problem, expected, actual, severity, repair FROM procrastinate_check();
SET client_min_messages = notice;
SELECT procrastinate_adopt();
SET client_min_messages = warning;
SELECT procrastinate_stamp('0035');
SELECT procrastinate_upgrade('0036');
CALL procrastinate_migrate('0036');
SELECT * FROM procrastinate_repair(dry_run => false);
SELECT count(*) FROM procrastinate_repair();

SET procrastinate_migrate.verify = 'warn';
SELECT procrastinate_adopt();
SET procrastinate_migrate.verify = 'off';
SELECT procrastinate_upgrade('0035');
SELECT procrastinate_upgrade('0036', dry_run => true);
RESET procrastinate_migrate.verify;

-- ---- with a history -----------------------------------------------------------------------------
SELECT procrastinate_upgrade('0036');
SELECT procrastinate_require('0035');
-- together with other differences
BEGIN;
ALTER TABLE procrastinate_jobs ALTER COLUMN queueing_lock TYPE varchar(30);
SELECT procrastinate_upgrade('0036');
ROLLBACK;
-- nothing to do is no change
SELECT procrastinate_upgrade('0035');
SELECT procrastinate_stamp('0035', verify => false);
SET procrastinate_migrate.verify = 'warn';
SELECT procrastinate_upgrade('0036', dry_run => true);
RESET procrastinate_migrate.verify;
DROP TABLE procrastinate_paused_queues;
DROP TYPE procrastinate_lock_mode;
ALTER FUNCTION procrastinate_pause_queue_v1(text, timestamptz) RENAME TO pause_queue;
SELECT * FROM procrastinate_check();

-- ---- the user's own that say nothing ------------------------------------------------------------
CREATE VIEW procrastinate_my_jobs AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW procrastinate_my_counts AS SELECT 1 AS one;
CREATE INDEX procrastinate_my_index ON procrastinate_jobs (task_name);
CREATE SEQUENCE procrastinate_my_numbers;
CREATE TABLE my_procrastinate_table (id int);
CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER procrastinate_my_trigger BEFORE UPDATE ON procrastinate_jobs
    FOR EACH ROW EXECUTE FUNCTION mine();
CREATE TABLE procrastinate_member (id int);
ALTER EXTENSION procrastinate_migrate ADD TABLE procrastinate_member;
CREATE TABLE "procrastinate-table" (id int);
SELECT kind, object, problem, severity FROM procrastinate_check();
SELECT procrastinate_upgrade('0036');
ALTER EXTENSION procrastinate_migrate DROP TABLE procrastinate_member;
DROP TABLE procrastinate_member;

-- ---- other kinds --------------------------------------------------------------------------------
CREATE DOMAIN procrastinate_text AS text;
CREATE TYPE procrastinate_pair AS (a int, b int);
CREATE TYPE procrastinate_span AS RANGE (subtype = int);
CREATE TABLE procrastinate_parts (id int) PARTITION BY LIST (id);
CREATE PROCEDURE procrastinate_act() LANGUAGE sql AS 'SELECT';
SELECT kind, object, problem FROM procrastinate_check() WHERE problem = 'unknown'
 ORDER BY kind COLLATE "C", object COLLATE "C";

-- ---- a composite type, as a later release may have it -------------------------------------------
CREATE SCHEMA unknown_composite;
CREATE TYPE unknown_composite.procrastinate_job_to_defer_v2 AS (queue_name varchar);
SELECT procrastinate_upgrade('0035', 'unknown_composite');
SET procrastinate_migrate.verify = 'off';
SELECT procrastinate_upgrade('0035', 'unknown_composite');
RESET procrastinate_migrate.verify;
SELECT revision, exact FROM procrastinate_detect('unknown_composite');
SELECT kind, object, problem, severity, repair
  FROM procrastinate_check(schema => 'unknown_composite');
SELECT procrastinate_upgrade('0036', 'unknown_composite');
DROP SCHEMA unknown_composite CASCADE;

-- ---- before the first installation --------------------------------------------------------------
CREATE SCHEMA unknown_only;
CREATE FUNCTION unknown_only.procrastinate_helper() RETURNS void LANGUAGE sql AS 'SELECT';
CREATE TABLE unknown_only.procrastinate_notes (id int);
SELECT * FROM procrastinate_detect('unknown_only');
SELECT * FROM procrastinate_check(schema => 'unknown_only');
SELECT * FROM procrastinate_current('unknown_only');
SELECT procrastinate_adopt('unknown_only');
SELECT procrastinate_upgrade('0035', 'unknown_only');
SELECT procrastinate_upgrade('head', 'unknown_only');
SET procrastinate_migrate.verify = 'off';
SELECT procrastinate_upgrade('0035', 'unknown_only');
DROP SCHEMA unknown_objects, unknown_only CASCADE;
