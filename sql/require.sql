-- procrastinate_require(), and procrastinate_wait() for a release.
\pset format unaligned
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA required;
SET search_path = required, public;

-- nothing is installed
SELECT procrastinate_require('3.1.0');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_require('base');
CALL procrastinate_wait('3.1.0', '0 s');
-- migrations are pending
SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0030');
SELECT procrastinate_require('3.1.0');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_require('3.1.0@pre');
SELECT procrastinate_require('0031');
SELECT procrastinate_require('0037');
SELECT procrastinate_require('0034', schema => 'required');
CALL procrastinate_wait('3.1.0', '0.1 s');
CALL procrastinate_wait('0031', '0.1 s');
\echo :LAST_ERROR_SQLSTATE
-- the target, one before it, and a release that works on the revision
SELECT procrastinate_require('0030');
SELECT procrastinate_require('0029');
SELECT procrastinate_require('3.0.0');
SELECT procrastinate_require('2.15.1');
CALL procrastinate_wait('2.15.1', '0 s');
-- a revision that is passed
SET client_min_messages = notice;
CALL procrastinate_wait('0030', '0 s');
CALL procrastinate_wait('0012', '0 s');
CALL procrastinate_wait('2.15.1@pre', '0 s');
SET client_min_messages = warning;
-- 2.15.1 does not run on 0031, nor ever again
SELECT procrastinate_upgrade('0031');
SELECT procrastinate_require('2.15.1');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_wait('2.15.1', '1 h');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_wait('2.15.1@pre', '1 h');
-- differences
CREATE INDEX own ON procrastinate_jobs (attempts);
SELECT procrastinate_require('0031');
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;
SELECT procrastinate_require('0031');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_supports('3.0.0');
CALL procrastinate_wait('3.0.0', '1 h');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_wait('3.1.0', '0 s');
CALL procrastinate_wait('0031', '0 s');
-- which an upgrade stops at
SELECT procrastinate_require('3.1.0');
SELECT supported, advice FROM procrastinate_supports('3.1.0');
SELECT procrastinate_upgrade('0032');
SELECT procrastinate_require('0031', 'warning');
SELECT procrastinate_require('0031', drift => 'ignore');
SELECT procrastinate_require('0031', 'off');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_require('0031', NULL);
SELECT procrastinate_require(NULL);
-- without a history the catalog decides
ALTER TABLE procrastinate_jobs ENABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;
DROP INDEX own;
-- what Procrastinate cannot do without, and an index that it can
CREATE FUNCTION verdict(statement text) RETURNS TABLE (supported boolean, advice text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    SELECT s.supported, s.advice INTO supported, advice FROM procrastinate_supports('3.0.0') s;
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    RETURN NEXT;
END $$;
SELECT v.* FROM unnest(ARRAY[
    'SELECT',
    'DROP FUNCTION procrastinate_fetch_job_v1',
    'ALTER TABLE procrastinate_jobs ALTER attempts DROP DEFAULT',
    'DROP TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 ON procrastinate_jobs',
    'ALTER TABLE procrastinate_jobs DROP COLUMN args CASCADE',
    'DROP TABLE procrastinate_events CASCADE',
    'DROP INDEX procrastinate_jobs_queueing_lock_idx_v1',
    'DROP INDEX procrastinate_jobs_queue_name_idx_v1'
]) WITH ORDINALITY AS s (statement, n), verdict(statement) v ORDER BY n;
DROP FUNCTION verdict;
DROP TABLE procrastinate_schema_history;
SET client_min_messages = notice;
SELECT procrastinate_require('3.0.0');
CALL procrastinate_wait('3.0.0', '0 s');
-- in a transaction that only reads, it keeps no lock
SET client_min_messages = warning;
BEGIN READ ONLY;
SELECT procrastinate_require('0031');
SELECT supported FROM procrastinate_supports('3.0.0');
SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation
 WHERE pid = pg_backend_pid() AND c.relnamespace = 'required'::regnamespace;
COMMIT;
DROP SCHEMA required CASCADE;
