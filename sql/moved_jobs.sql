-- A jobs table that was renamed or moved, and the rest of an installation without its history: no
-- HINT leads to dropping what belongs to a jobs table that is still there.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
-- Errors name the caller's role.
CREATE ROLE regress_superuser SUPERUSER;
SET SESSION AUTHORIZATION regress_superuser;
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA rest;
-- 0036 is fixed: later revisions may have other objects
SELECT procrastinate_upgrade('0036', 'rest');
SET search_path = rest, public;
INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't');
RESET search_path;

-- ---- with its history, a repair makes no second table -------------------------------------------
ALTER TABLE rest.procrastinate_jobs RENAME TO my_jobs;
SELECT * FROM procrastinate_repair(schema => 'rest', dry_run => false);

-- ---- without it, all calls say where the table is -----------------------------------------------
DROP TABLE rest.procrastinate_schema_history;
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
    (1, 'SELECT procrastinate_upgrade(schema => ''rest'')'),
    (2, 'SELECT procrastinate_upgrade(''0001'', schema => ''rest'')'),
    (3, 'SELECT procrastinate_adopt(schema => ''rest'')'),
    (4, 'SELECT procrastinate_adopt(schema => ''rest'', copy => true)'),
    (5, 'SELECT procrastinate_stamp(''base'', schema => ''rest'')'),
    (6, 'SELECT procrastinate_stamp(''base'', schema => ''rest'', verify => false)'),
    (7, 'SELECT * FROM procrastinate_repair(schema => ''rest'')'),
    (8, 'SELECT * FROM procrastinate_repair(''0036'', schema => ''rest'', dry_run => false)'),
    (9, 'SELECT * FROM procrastinate_supports(''3.0.0'', schema => ''rest'')'),
    (10, 'SELECT procrastinate_require(''head'', schema => ''rest'')'),
    (11, 'SELECT * FROM procrastinate_pending(schema => ''rest'')'),
    (12, 'SELECT * FROM procrastinate_plan(schema => ''rest'')'),
    (13, 'SELECT * FROM procrastinate_check(''base'', schema => ''rest'')');
SELECT format('CALL pg_temp.refused(%L)', call) FROM pg_temp.calls ORDER BY number \gexec
CALL procrastinate_migrate(schema => 'rest');
-- no wait brings it there
CALL procrastinate_wait('0036', timeout => '10 min', schema => 'rest');
SELECT revision, source FROM procrastinate_current('rest');
SET client_min_messages = notice;
SELECT kind, object, problem FROM procrastinate_check(schema => 'rest')
 WHERE kind = 'table';
SET client_min_messages = warning;
-- in another schema
CREATE SCHEMA place;
ALTER TABLE rest.my_jobs SET SCHEMA place;
SELECT procrastinate_upgrade(schema => 'rest');
ALTER TABLE place.my_jobs RENAME TO procrastinate_jobs;
SELECT procrastinate_upgrade(schema => 'rest');
SELECT procrastinate_upgrade(schema => 'place');
SELECT procrastinate_adopt('place');
-- the HINT puts it back, and nothing is lost
ALTER TABLE place.procrastinate_jobs SET SCHEMA rest;
SELECT procrastinate_adopt('rest');
SELECT count(*) FROM rest.procrastinate_jobs;
DROP SCHEMA place;

-- ---- the table is gone: its rest can be repaired or dropped -------------------------------------
DROP TABLE rest.procrastinate_schema_history;
DROP TABLE rest.procrastinate_jobs CASCADE;
SELECT format('CALL pg_temp.refused(%L)', call) FROM pg_temp.calls WHERE number < 12
 ORDER BY number \gexec
SET client_min_messages = notice;
SELECT kind, object, problem FROM procrastinate_check(schema => 'rest') WHERE kind = 'table';
SET client_min_messages = warning;
SELECT repair FROM procrastinate_check('base', 'rest') WHERE kind = 'table' \gexec
DROP SCHEMA rest CASCADE;
-- one table is enough, of any owner
CREATE SCHEMA rest;
CREATE TABLE rest.procrastinate_events (a int);
SELECT procrastinate_stamp('base', schema => 'rest');
SELECT procrastinate_stamp('base', schema => 'rest', verify => false);
SELECT procrastinate_upgrade(schema => 'rest');
DROP SCHEMA rest CASCADE;

-- ---- what other roles make is not taken for it --------------------------------------------------
CREATE SCHEMA rest;
CREATE SCHEMA bobs;
SELECT procrastinate_upgrade('0036', 'rest');
CREATE ROLE regress_bob;
GRANT CREATE, USAGE ON SCHEMA rest, bobs TO regress_bob;
ALTER TABLE rest.procrastinate_jobs RENAME TO my_jobs;
ALTER INDEX rest.procrastinate_jobs_pkey RENAME TO my_jobs_pkey;
ALTER SEQUENCE rest.procrastinate_jobs_id_seq RENAME TO my_jobs_id_seq;
SET ROLE regress_bob;
CREATE TABLE rest.trap (id bigint CONSTRAINT procrastinate_jobs_pkey PRIMARY KEY);
CREATE SEQUENCE rest.procrastinate_jobs_id_seq OWNED BY rest.trap.id;
CREATE TABLE bobs.jobs (id bigint PRIMARY KEY);
CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 AFTER INSERT ON bobs.jobs
    FOR EACH ROW EXECUTE FUNCTION rest.procrastinate_notify_queue_job_inserted_v1();
RESET ROLE;
SELECT procrastinate_upgrade(schema => 'rest');
ALTER TABLE rest.my_jobs DISABLE TRIGGER ALL;
ALTER TABLE rest.procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey;
ALTER TABLE rest.procrastinate_periodic_defers
    DROP CONSTRAINT procrastinate_periodic_defers_job_id_fkey;
SELECT procrastinate_upgrade(schema => 'rest');
DROP TABLE rest.my_jobs;
SELECT procrastinate_upgrade(schema => 'rest');
-- nor if that role makes an empty history
DROP TABLE rest.procrastinate_schema_history;
SET ROLE regress_bob;
CREATE TABLE rest.procrastinate_schema_history (id bigint);
RESET ROLE;
SELECT procrastinate_upgrade(schema => 'rest');
DROP SCHEMA rest, bobs CASCADE;
DROP ROLE regress_bob;

-- ---- a partitioned table without a history ------------------------------------------------------
CREATE SCHEMA rest;
SELECT procrastinate_upgrade('0031', 'rest');
ALTER TABLE rest.procrastinate_jobs RENAME TO unpartitioned_jobs;
CREATE TABLE rest.procrastinate_jobs (LIKE rest.unpartitioned_jobs INCLUDING DEFAULTS)
    PARTITION BY LIST (queue_name);
DROP TABLE rest.procrastinate_schema_history;
SELECT procrastinate_upgrade(schema => 'rest');
SELECT procrastinate_adopt('rest');
CALL procrastinate_migrate(schema => 'rest');
SELECT procrastinate_require('3.0.0', schema => 'rest');
DROP SCHEMA rest CASCADE;

-- ---- only types and functions are left: no HINT records a revision ------------------------------
CREATE SCHEMA rest;
SELECT procrastinate_upgrade('0036', 'rest');
DROP TABLE rest.procrastinate_jobs, rest.procrastinate_events, rest.procrastinate_periodic_defers,
    rest.procrastinate_workers, rest.procrastinate_schema_history CASCADE;
SELECT procrastinate_adopt('rest');
DROP SCHEMA rest CASCADE;
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_superuser;
DROP ROLE regress_superuser;
