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
-- migrations are pending
SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0030');
SELECT procrastinate_require('3.1.0');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_require('3.1.0@pre');
SELECT procrastinate_require('0031');
CALL procrastinate_wait('3.1.0', '0.1 s');
\echo :LAST_ERROR_SQLSTATE
-- the target, one before it, and a release that works on the revision
SELECT procrastinate_require('0030');
SELECT procrastinate_require('0029');
SELECT procrastinate_require('3.0.0');
SELECT procrastinate_require('2.15.1');
CALL procrastinate_wait('2.15.1', '0 s');
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
SELECT procrastinate_require('0031', 'warning');
SELECT procrastinate_require('0031', drift => 'ignore');
SELECT procrastinate_require('0031', 'off');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_require('0031', NULL);
SELECT procrastinate_require(NULL);
-- without a history the catalog decides
ALTER TABLE procrastinate_jobs ENABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;
DROP INDEX own;
DROP TABLE procrastinate_schema_history;
SET client_min_messages = notice;
SELECT procrastinate_require('3.0.0');
-- in a transaction that only reads, it keeps no lock
SET client_min_messages = warning;
BEGIN READ ONLY;
SELECT procrastinate_require('0031');
SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation
 WHERE pid = pg_backend_pid() AND c.relnamespace = 'required'::regnamespace;
COMMIT;
DROP SCHEMA required CASCADE;
