-- procrastinate_migrate.verify: the pre-check before the first change, as error, as warning, off.
\pset format unaligned
\pset null NULL
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA verify;
SET search_path = verify, public;
SET procrastinate_migrate.verify = 'perhaps';
SET procrastinate_migrate.verfy = 'off';

SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0030');
-- once a function has run, values and names are checked
SET procrastinate_migrate.verify = 'perhaps';

-- ---- one error lists all, and nothing is changed ------------------------------------------------
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)
SELECT 'q', 't', 'lock ' || i, 'doing' FROM generate_series(1, 2) i;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)
SELECT 'q', 't', 'lock ' || i, 'aborting' FROM generate_series(1, 2) i;
INSERT INTO procrastinate_jobs (queue_name, task_name, abort_requested)
SELECT 'q', 't', true FROM generate_series(1, 5);
DROP INDEX procrastinate_jobs_priority_idx;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_delete_jobs;
CREATE VIEW by_status AS SELECT status, count(*) FROM procrastinate_jobs GROUP BY status;
CREATE VIEW deferring AS SELECT procrastinate_fetch_job(NULL::varchar[]) AS job;
CREATE TABLE mine (id int);
CREATE TRIGGER notify AFTER INSERT ON mine FOR EACH ROW
    EXECUTE FUNCTION procrastinate_notify_queue();
CREATE TABLE procrastinate_workers (id int);
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey;
SELECT procrastinate_upgrade('0037');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_migrate('0037');
\echo :LAST_ERROR_SQLSTATE
SELECT revision FROM procrastinate_current();
SELECT count(*) FROM procrastinate_log();
-- what is taken cannot be overridden
SET procrastinate_migrate.verify = off;
SELECT procrastinate_upgrade('0037');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE procrastinate_workers;

-- ---- as a warning: and then it fails, or does not -----------------------------------------------
SET procrastinate_migrate.verify = warn;
\set SHOW_CONTEXT never
SELECT procrastinate_upgrade('0037');
\echo :LAST_ERROR_SQLSTATE
SELECT revision FROM procrastinate_current();

-- ---- mended, one after the other ----------------------------------------------------------------
RESET procrastinate_migrate.verify;
SELECT kind, object, problem FROM procrastinate_repair(dry_run => false);
SELECT procrastinate_upgrade('0037');
UPDATE procrastinate_jobs SET status = 'aborted' WHERE status = 'aborting';
UPDATE procrastinate_jobs SET abort_requested = false WHERE status = 'todo';
SELECT procrastinate_upgrade('0037');
DROP VIEW deferring;
DROP TABLE mine;
-- a view on a column that stays is allowed
SELECT procrastinate_upgrade('0037');
SELECT kind, object, problem, severity FROM procrastinate_check();

-- ---- dependents of every kind -------------------------------------------------------------------
CREATE SCHEMA verify_users;
SET search_path = verify_users, public;
SELECT procrastinate_upgrade('0023', 'verify_users');
CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER own_when BEFORE INSERT ON procrastinate_events FOR EACH ROW
  WHEN (NEW.job_id > 5) EXECUTE FUNCTION own();
CREATE TRIGGER own_notify AFTER UPDATE ON procrastinate_jobs FOR EACH ROW
  EXECUTE FUNCTION procrastinate_notify_queue();
ALTER TABLE procrastinate_events ADD COLUMN next_id int GENERATED ALWAYS AS (job_id + 1) STORED;
CREATE TABLE own_rows (event procrastinate_events);
CREATE TABLE own_default (id bigint DEFAULT procrastinate_defer_job('q', 't', NULL, NULL,
    '{}'::jsonb, NULL));
CREATE POLICY own_policy ON procrastinate_events USING (job_id > 0);
-- the server makes this one anew
CREATE TABLE own_key (job_id int);
ALTER TABLE procrastinate_events ADD CONSTRAINT own_unique UNIQUE (job_id);
ALTER TABLE own_key ADD FOREIGN KEY (job_id) REFERENCES procrastinate_events (job_id);
CALL procrastinate_migrate('0037');
SELECT revision FROM procrastinate_current();
DROP TRIGGER own_when ON procrastinate_events;
DROP TRIGGER own_notify ON procrastinate_jobs;
DROP POLICY own_policy ON procrastinate_events;
ALTER TABLE procrastinate_events DROP COLUMN next_id;
DROP TABLE own_rows, own_default;
CREATE STATISTICS own_statistics ON job_id, at FROM procrastinate_events;
GRANT SELECT (job_id) ON procrastinate_events TO PUBLIC;
-- but not where a new column takes the old one's place
CALL procrastinate_migrate('0037');
SELECT procrastinate_upgrade('0024');
CALL procrastinate_migrate('0037');
SELECT revision FROM procrastinate_current();
SET search_path = verify, public;
SET client_min_messages = error;
DROP SCHEMA verify_users CASCADE;
SET client_min_messages = warning;

-- a column that changes first, and goes later
CREATE SCHEMA verify_later;
SELECT procrastinate_upgrade('0020', 'verify_later');
CREATE VIEW verify_later.queues AS SELECT queue_name
  FROM verify_later.procrastinate_periodic_defers;
CALL procrastinate_migrate('0037', 'verify_later');
CALL procrastinate_migrate('0022', 'verify_later');
SELECT revision FROM procrastinate_current('verify_later');
SET client_min_messages = error;
DROP SCHEMA verify_later CASCADE;
SET client_min_messages = warning;

-- ---- a history that says less than there is -----------------------------------------------------
SELECT procrastinate_upgrade('0038');
SELECT procrastinate_stamp('0037', verify => false);
SELECT procrastinate_upgrade('0038');

-- ---- what does not break is a warning -----------------------------------------------------------
CREATE SCHEMA verify_two;
SELECT procrastinate_upgrade('0028', 'verify_two');
SELECT procrastinate_upgrade('0036', 'verify_two');
DROP INDEX verify_two.procrastinate_jobs_queue_name_idx_v1;
SELECT procrastinate_upgrade('0037', 'verify_two');
SELECT kind, object, problem, severity FROM procrastinate_check(schema => 'verify_two');
-- nothing to do: nothing is looked for, nor written
BEGIN;
SELECT procrastinate_upgrade('0037', 'verify_two');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;
DROP SCHEMA verify, verify_two CASCADE;
