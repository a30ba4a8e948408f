-- What has the name of the jobs table and is none: a view, a partitioned table.
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
SELECT actual FROM procrastinate_check() WHERE kind = 'table' AND object = 'procrastinate_jobs';
DROP TABLE procrastinate_jobs;
CREATE VIEW procrastinate_jobs AS SELECT * FROM unpartitioned_jobs;
SELECT procrastinate_upgrade('head', schema => 'real_jobs');
DROP VIEW procrastinate_jobs;
ALTER TABLE unpartitioned_jobs RENAME TO procrastinate_jobs;
SELECT procrastinate_upgrade('0033');
RESET search_path;
DROP SCHEMA real_jobs CASCADE;
