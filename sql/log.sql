-- procrastinate_log and the history table: all changes of an installation.
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
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA log;
SET search_path = log, public;
SELECT * FROM procrastinate_log();

SELECT procrastinate_upgrade('0002');
SELECT procrastinate_upgrade('0002');
SELECT procrastinate_stamp('0001', verify => false);
SELECT procrastinate_stamp('0002', verify => false);
SELECT procrastinate_upgrade('0004');
CALL procrastinate_migrate('0006');
-- what is undone, or fails, leaves nothing
BEGIN;
SELECT procrastinate_upgrade('0008');
ROLLBACK;
CREATE VIEW uses AS SELECT lock FROM procrastinate_jobs;
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)
VALUES ('queue', 'task', 'same', 'doing'), ('queue', 'task', 'same', 'doing');
SELECT procrastinate_upgrade('0008');
SET procrastinate_migrate.verify = off;
SELECT procrastinate_upgrade('0008');
RESET procrastinate_migrate.verify;
DELETE FROM procrastinate_jobs;
DROP VIEW uses;
SELECT id, event, from_revision, to_revision, applied_by = current_user AS by_me,
       applied_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS recent,
       duration >= interval '0' AS took, version
  FROM procrastinate_log();
-- oldest first; the times do not go back
SELECT bool_and(id > before), bool_and(applied_at >= since)
  FROM (SELECT id, lag(id) OVER () AS before, applied_at, lag(applied_at) OVER () AS since
          FROM procrastinate_log()) AS l;
-- the install of head at once is one row
CREATE SCHEMA log_at_once;
SELECT procrastinate_upgrade(schema => 'log_at_once') = :'head' AS at_head;
SELECT id, event, from_revision, to_revision = :'head' AS to_head
  FROM procrastinate_log('log_at_once');

-- applied_by is the role of the session, not the owner of the installation
CREATE ROLE regress_procrastinate_log;
CREATE SCHEMA log_role AUTHORIZATION regress_procrastinate_log;
SET ROLE regress_procrastinate_log;
SELECT procrastinate_upgrade('0001', 'log_role');
RESET ROLE;
SELECT applied_by FROM procrastinate_log('log_role');

-- the table
SELECT a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       a.attidentity AS identity, pg_get_expr(d.adbin, d.adrelid) AS "default"
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = 'procrastinate_schema_history'::regclass AND a.attnum > 0
 ORDER BY a.attnum;
SELECT conname, pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE conrelid = 'procrastinate_schema_history'::regclass AND contype <> 'n';
SELECT obj_description('procrastinate_schema_history'::regclass, 'pg_class');
SELECT has_table_privilege('public', 'procrastinate_schema_history', 'SELECT') AS public_reads,
       has_table_privilege('public', 'procrastinate_schema_history',
       'INSERT, UPDATE, DELETE') AS writes;
-- it is the installation's, not the extension's
SELECT count(*) FROM pg_depend WHERE objid = 'procrastinate_schema_history'::regclass
       AND deptype = 'e';
-- a row more by hand counts: the last row tells
SELECT revision, source FROM procrastinate_current();
DROP SCHEMA log, log_at_once, log_role CASCADE;
DROP ROLE regress_procrastinate_log;
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_superuser;
DROP ROLE regress_superuser;
