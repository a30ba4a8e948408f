-- procrastinate_repair: which revision it means, what it creates, what fails and what it leaves.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
SET client_min_messages = notice;
CREATE SCHEMA repair;
SET search_path = repair, public;

-- ---- nothing is there ---------------------------------------------------------------------------
SELECT * FROM procrastinate_detect();
SELECT * FROM procrastinate_repair();
SELECT * FROM procrastinate_repair(dry_run => false);

-- ---- made by hand, and never called the real schema ---------------------------------------------
CREATE TYPE procrastinate_job_status AS ENUM ('todo', 'doing', 'succeeded', 'failed', 'cancelled',
    'aborting', 'aborted');
CREATE TABLE procrastinate_jobs (
    id bigserial PRIMARY KEY, queue_name text NOT NULL, task_name text NOT NULL,
    priority int NOT NULL DEFAULT 0, lock text, queueing_lock text,
    args jsonb NOT NULL DEFAULT '{}', status procrastinate_job_status NOT NULL DEFAULT 'todo',
    scheduled_at timestamptz, attempts int NOT NULL DEFAULT 0,
    abort_requested boolean NOT NULL DEFAULT false);
CREATE TABLE procrastinate_events (id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES procrastinate_jobs ON DELETE CASCADE,
    type text NOT NULL, at timestamptz DEFAULT now());
SELECT * FROM procrastinate_detect();
SELECT * FROM procrastinate_current();
SELECT procrastinate_adopt();
SELECT procrastinate_stamp('base', verify => false);
SELECT procrastinate_upgrade('0038');
SELECT count(*) FROM procrastinate_repair();
SELECT count(*) FROM procrastinate_repair(dry_run => false);
-- 0038 is fixed: a later revision may need more
SELECT kind, object, problem, repair FROM procrastinate_repair('0038')
 WHERE kind NOT IN ('function', 'index', 'trigger');
SELECT count(error), count(*) > 50 AS many FROM procrastinate_repair('0038', dry_run => false);
SELECT kind, object, problem, expected, actual FROM procrastinate_check('0038');
SELECT count(*) FROM procrastinate_repair('0038', dry_run => false);
SET client_min_messages = warning;
DROP SCHEMA repair CASCADE;
CREATE SCHEMA repair;
SELECT procrastinate_upgrade('0038');

-- ---- two revisions are equally near -------------------------------------------------------------
ALTER TABLE procrastinate_schema_history RENAME TO history;
CREATE OR REPLACE FUNCTION procrastinate_trigger_function_status_events_update_v1() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SELECT * FROM procrastinate_repair();
SELECT * FROM procrastinate_repair(dry_run => false);
SET client_min_messages = notice;
SELECT object, problem, expected FROM procrastinate_check();
SET client_min_messages = warning;
SELECT object, problem FROM procrastinate_repair('0037', dry_run => false);
SELECT revision, exact FROM procrastinate_detect();

-- ---- no repair does what only a post migration may ----------------------------------------------
SET client_min_messages = notice;
-- the body that 0038 replaces
SELECT object, problem FROM procrastinate_repair('0036', dry_run => false);
DROP INDEX procrastinate_jobs_lock_idx_v1;
SELECT object, problem FROM procrastinate_repair('0038', dry_run => false);
SELECT revision, exact FROM procrastinate_detect();
SET client_min_messages = warning;
ALTER TABLE history RENAME TO procrastinate_schema_history;
SELECT procrastinate_upgrade('0038');
SELECT * FROM procrastinate_check();
-- 0031 renames indexes and replaces triggers: with both, each event would be written twice
CREATE SCHEMA repair_before_post;
SELECT procrastinate_upgrade('0030', 'repair_before_post');
DROP TABLE repair_before_post.procrastinate_schema_history;
DROP INDEX repair_before_post.procrastinate_jobs_priority_idx;
SET client_min_messages = notice;
SELECT * FROM procrastinate_repair('0031', 'repair_before_post');
SELECT count(*) AS to_do, count(repair) AS repairs
  FROM procrastinate_check('0031', 'repair_before_post') WHERE problem NOT IN ('extra');
SELECT kind, object FROM procrastinate_repair('0030', 'repair_before_post', dry_run => false);
SET client_min_messages = warning;
SELECT procrastinate_upgrade('0031', 'repair_before_post');
-- to another revision lead migrations only
SELECT * FROM procrastinate_repair('0038', 'repair_before_post');
SELECT * FROM procrastinate_repair('+1', 'repair_before_post', dry_run => false);
SELECT * FROM procrastinate_repair('0030', 'repair_before_post');
-- what differs from the revision that it is at is repaired first
BEGIN;
DROP INDEX repair_before_post.procrastinate_jobs_priority_idx_v1;
SELECT * FROM procrastinate_repair('0038', 'repair_before_post');
ROLLBACK;
SELECT * FROM procrastinate_repair('0031', 'repair_before_post', dry_run => false);
-- no upgrade is proposed that objects of later migrations would stop
BEGIN;
CREATE TABLE repair_before_post.procrastinate_workers (id bigint);
SELECT * FROM procrastinate_repair('0034', 'repair_before_post');
ROLLBACK;
SELECT * FROM procrastinate_repair(NULL);
DROP SCHEMA repair_before_post CASCADE;
CREATE SCHEMA repair_before_post;
-- a record that is wrong: the calls in the HINT lead to the head
SELECT procrastinate_upgrade('0030', 'repair_before_post');
CREATE FUNCTION repair_before_post.procrastinate_finish_job(own inet) RETURNS int
    LANGUAGE sql AS 'SELECT 1';
SELECT procrastinate_stamp('0034', verify => false, schema => 'repair_before_post');
SELECT count(*) > 0 AS repaired, count(error) AS errors
  FROM procrastinate_repair(schema => 'repair_before_post', dry_run => false);
SELECT * FROM procrastinate_repair('0034', schema => 'repair_before_post');
SELECT public.procrastinate_stamp('0030', verify => false, schema => 'repair_before_post');
CALL public.procrastinate_migrate('0031', schema => 'repair_before_post');
SELECT public.procrastinate_stamp('0034', verify => false, schema => 'repair_before_post');
SELECT kind, object, problem FROM procrastinate_check(schema => 'repair_before_post');
CALL procrastinate_migrate('0038', schema => 'repair_before_post');
SELECT kind, object, problem FROM procrastinate_check('0038', schema => 'repair_before_post');
DROP SCHEMA repair_before_post CASCADE;
CREATE SCHEMA repair_before_post;
-- of two post migrations the earlier one comes first
SELECT procrastinate_upgrade('0037', 'repair_before_post');
DROP TRIGGER procrastinate_trigger_delete_jobs_v1 ON repair_before_post.procrastinate_jobs;
CREATE FUNCTION repair_before_post.procrastinate_unlink_periodic_defers() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
SELECT procrastinate_stamp('0038', verify => false, schema => 'repair_before_post');
SELECT count(*) > 0 AS to_do FROM procrastinate_repair(schema => 'repair_before_post');
DROP SCHEMA repair_before_post CASCADE;
CREATE SCHEMA repair_before_post;
-- without a history the calls record nothing that is not true
SELECT procrastinate_upgrade('0030', 'repair_before_post');
DROP TABLE repair_before_post.procrastinate_schema_history;
ALTER TABLE repair_before_post.procrastinate_jobs ALTER attempts DROP DEFAULT;
SELECT count(error) FROM procrastinate_repair('0034', 'repair_before_post', dry_run => false);
SELECT count(*) FROM procrastinate_repair('0034', 'repair_before_post');
DROP SCHEMA repair_before_post CASCADE;

-- ---- without an installation there is nothing to repair -----------------------------------------
CREATE SCHEMA repair_nothing;
SELECT * FROM procrastinate_repair('0003', 'repair_nothing');
SELECT count(*) > 0 AS differs, count(repair) AS repairs
  FROM procrastinate_check('0003', 'repair_nothing');
-- leftovers can be dropped
CREATE TYPE repair_nothing.procrastinate_job_status AS ENUM ('todo');
CREATE FUNCTION repair_nothing.procrastinate_notify_queue() RETURNS trigger
    LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SELECT procrastinate_adopt('repair_nothing');
SELECT procrastinate_upgrade('0038', 'repair_nothing');
SELECT repair FROM public.procrastinate_check('base', schema => 'repair_nothing') \gexec
SELECT procrastinate_upgrade('0038', 'repair_nothing');
DROP SCHEMA repair_nothing CASCADE;

-- ---- a repair that fails does not keep the others from their work -------------------------------
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)
SELECT 'q', 't', 'the lock', 'todo' FROM generate_series(1, 2);
DROP INDEX procrastinate_jobs_lock_idx_v1;
UPDATE procrastinate_jobs SET status = 'doing';
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_delete_jobs_v1,
    ALTER COLUMN task_name DROP NOT NULL;
INSERT INTO procrastinate_jobs (queue_name) VALUES ('q');
DROP INDEX procrastinate_jobs_queue_name_idx_v1;
SELECT kind, object, problem, error FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem FROM procrastinate_check();
SELECT count(*) FILTER (WHERE event = 'repair') FROM procrastinate_log();
-- where all fail, nothing is recorded
SELECT kind, object, problem, error FROM procrastinate_repair(dry_run => false);
SELECT count(*) FILTER (WHERE event = 'repair') FROM procrastinate_log();
DELETE FROM procrastinate_jobs;
SELECT kind, object, problem, error FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

-- ---- columns that may be NULL, labels, tables, types --------------------------------------------
INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't');
ALTER TABLE procrastinate_jobs DROP COLUMN scheduled_at CASCADE;
ALTER TABLE procrastinate_jobs DROP COLUMN abort_requested CASCADE;
ALTER TABLE procrastinate_events DROP COLUMN at;
DROP TABLE procrastinate_periodic_defers, procrastinate_workers CASCADE;
DROP TYPE procrastinate_job_to_defer_v1 CASCADE;
SELECT kind, object, repair FROM procrastinate_check()
 WHERE problem = 'missing' AND kind <> 'function';
SELECT count(error) FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, repair FROM procrastinate_check();
SELECT status, scheduled_at FROM procrastinate_jobs;
SELECT type, at FROM procrastinate_events;
-- a column that is not to be NULL is for the user to fill
ALTER TABLE procrastinate_jobs ADD COLUMN abort_requested boolean NOT NULL DEFAULT false;
SELECT count(error) FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

DELETE FROM pg_enum WHERE enumtypid = 'procrastinate_job_event_type'::regtype
   AND enumlabel IN ('deferred', 'aborted', 'retried');
SELECT kind, object, problem, repair FROM procrastinate_check();
SELECT kind, object, error FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();
ALTER TYPE procrastinate_job_to_defer_v1 DROP ATTRIBUTE scheduled_at, DROP ATTRIBUTE args;
SELECT kind, object, problem, repair FROM procrastinate_check();
SELECT kind, object, error FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

-- ---- what may be there under another name gets no second copy -----------------------------------
ALTER TABLE procrastinate_jobs RENAME COLUMN queueing_lock TO elsewhere;
ALTER TABLE procrastinate_periodic_defers RENAME TO elsewhere;
ALTER TYPE procrastinate_job_event_type RENAME VALUE 'retried' TO 'elsewhere';
SELECT kind, object, problem, repair FROM procrastinate_check();
ALTER TYPE procrastinate_job_event_type RENAME TO elsewhere_type;
SELECT kind, object, problem, repair FROM procrastinate_check();

-- ---- a hint names repair only if it has something to do ----------------------------------------
ALTER TABLE procrastinate_jobs RENAME COLUMN elsewhere TO queueing_lock;
ALTER TABLE elsewhere RENAME TO procrastinate_periodic_defers;
ALTER TYPE elsewhere_type RENAME TO procrastinate_job_event_type;
ALTER TYPE procrastinate_job_event_type RENAME VALUE 'elsewhere' TO 'retried';
SELECT * FROM procrastinate_check();
DROP TABLE procrastinate_schema_history;
ALTER TABLE procrastinate_jobs ALTER COLUMN queueing_lock TYPE varchar(30);
SELECT procrastinate_adopt();
DROP SCHEMA repair CASCADE;

-- ---- another tool has moved the schema on, but for a migration ----------------------------------
CREATE SCHEMA repair;
SELECT procrastinate_upgrade('0035');
DO $$BEGIN
    EXECUTE procrastinate_migration_sql('0037');
    EXECUTE procrastinate_migration_sql('0038');
END$$;
SELECT procrastinate_adopt();
-- the first call of the HINT
SELECT public.procrastinate_stamp('0038', verify => false, schema => 'repair');
SELECT object, problem FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

-- ---- a function that runs as its owner, a table whose policies are forced -----------------------
ALTER FUNCTION procrastinate_fetch_job_v2 SECURITY DEFINER SET search_path = repair, pg_temp;
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT object, error FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
ALTER FUNCTION procrastinate_fetch_job_v2 SECURITY DEFINER SET search_path = '';
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT object, error FROM procrastinate_repair(dry_run => false);
ALTER FUNCTION procrastinate_fetch_job_v2 RESET ALL;
ALTER FUNCTION procrastinate_fetch_job_v2 STABLE SECURITY DEFINER;
ALTER TABLE procrastinate_events FORCE ROW LEVEL SECURITY;
SELECT kind, object, problem, severity, left(repair, 70) AS repair FROM procrastinate_check();
SELECT object, error FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, severity, repair FROM procrastinate_check();

-- ---- another declaration, and a setting that a repair would lose --------------------------------
ALTER FUNCTION procrastinate_fetch_job_v2 STABLE SET search_path = repair, pg_temp;
SELECT object, problem, repair IS NULL AS none FROM procrastinate_check();
ALTER FUNCTION procrastinate_fetch_job_v2 RESET ALL;
SELECT object, error FROM procrastinate_repair(dry_run => false);
SELECT count(*) FROM procrastinate_check();
DROP SCHEMA repair CASCADE;
