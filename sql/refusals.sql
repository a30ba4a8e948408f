-- Every error: message, DETAIL, HINT and SQLSTATE. None of them changes anything.
\pset format unaligned
\pset null NULL
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA refusals;
SET search_path = refusals, public;
SELECT procrastinate_upgrade('0026');

\echo ======== PM001: no such revision
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('0099')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('haed')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('3.4.O')$$);
SELECT pg_temp.refusal(
    $$SELECT procrastinate_upgrade('00.11.00_03_add_procrastinate_periodic_deffers')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('something entirely different')$$);
-- a prefix that two migrations share
SELECT procrastinate_upgrade('00.17.00_');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('')$$);
SELECT procrastinate_upgrade(repeat('x', 129));
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('größer')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade(E'\U0001F418' || repeat('é', 62))$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade(E'head\n; DROP TABLE procrastinate_jobs')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_pending('0099')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_plan('0099')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_stamp('0099')$$);
\set VERBOSITY terse
CALL procrastinate_migrate('0099');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_history('0099:')$$);

\echo ======== PM002: a relative target that leaves the chain
-- (N is the number of migrations from 0026 to head)
SELECT replace(pg_temp.refusal($$SELECT procrastinate_upgrade('+99')$$), (:heads - 26)::text, 'N');
SELECT procrastinate_upgrade('-27');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('head+1')$$);
SELECT * FROM procrastinate_pending('base-1');
\echo :LAST_ERROR_SQLSTATE

\echo ======== PM003: no range, or one that runs backwards
SELECT * FROM procrastinate_history('0025');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_history('');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_history('1:2:3');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_history('0030:0025');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_sql('0038:base');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_sql('head');
\echo :LAST_ERROR_SQLSTATE

\echo ======== a target that has been passed is reached: no error
SET client_min_messages = notice;
SELECT procrastinate_upgrade('0003');
SELECT procrastinate_upgrade('base');
SELECT procrastinate_upgrade('-1');
SELECT procrastinate_upgrade('2.5.0', dry_run => true);
CALL procrastinate_migrate('0003');
SELECT * FROM procrastinate_plan('0003');
SELECT revision FROM procrastinate_pending('3');
SELECT procrastinate_sql('current:0003') = procrastinate_sql('current:current') AS same;
SET client_min_messages = warning;

\echo ======== PM007: what one transaction cannot do
SELECT procrastinate_upgrade('0030');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade('0029');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade('0029', dry_run => true);
\echo :LAST_ERROR_SQLSTATE

\echo ======== 0A000: downgrade
SELECT procrastinate_downgrade('0003');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_downgrade('-1', 'refusals');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_downgrade(NULL);
\echo :LAST_ERROR_SQLSTATE

\echo ======== 22004: NULL where there must be a name
SELECT procrastinate_upgrade(NULL);
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_migrate(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_history(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_pending(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_plan(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_show(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_migration_sql(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_sql(NULL);
\echo :LAST_ERROR_SQLSTATE

\echo ======== 25001: in a transaction
BEGIN;
CALL procrastinate_migrate();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
CALL procrastinate_migrate('3.0.0@pre', schema => 'refusals');
ROLLBACK;
DO $$BEGIN CALL procrastinate_migrate('0027'); RAISE WARNING 'a DO block may commit'; END$$;
CREATE FUNCTION calls() RETURNS void LANGUAGE plpgsql
    AS $$BEGIN CALL procrastinate_migrate(); END$$;
SELECT calls();
\echo :LAST_ERROR_SQLSTATE
DROP FUNCTION calls();
-- a snapshot that is too old
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT procrastinate_upgrade('0028');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT procrastinate_upgrade('0028');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

\echo ======== 25006: read-only
BEGIN READ ONLY;
SELECT procrastinate_upgrade();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN READ ONLY;
SELECT procrastinate_stamp('0027');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SET default_transaction_read_only = on;
CALL procrastinate_migrate();
\echo :LAST_ERROR_SQLSTATE
RESET default_transaction_read_only;

\echo ======== PM009: the catalog says otherwise
SELECT procrastinate_stamp('0030');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('base');
\echo :LAST_ERROR_SQLSTATE
SELECT revision FROM procrastinate_current();
-- a history and no tables
CREATE SCHEMA refusals_hollow;
SELECT procrastinate_stamp('0020', verify => false, schema => 'refusals_hollow');
SELECT procrastinate_upgrade(schema => 'refusals_hollow');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade('0021', 'refusals_hollow');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_migrate(schema => 'refusals_hollow');
\echo :LAST_ERROR_SQLSTATE
-- also where there is nothing to do
SELECT procrastinate_stamp('0038', verify => false, schema => 'refusals_hollow');
SELECT procrastinate_upgrade('0038', 'refusals_hollow');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_migrate('0038', 'refusals_hollow');
\echo :LAST_ERROR_SQLSTATE

\echo ======== PM005, PM009: tables without a history that match no revision
CREATE SCHEMA refusals_found;
CREATE TABLE refusals_found.procrastinate_jobs (id bigint);
SELECT procrastinate_upgrade(schema => 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade('0003', 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
CALL procrastinate_migrate(schema => 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_pending(schema => 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_plan(schema => 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_sql('current:head', schema => 'refusals_found');
\echo :LAST_ERROR_SQLSTATE
-- reads that need no current revision work, and say what they do not know
SELECT * FROM procrastinate_current('refusals_found');
SELECT revision, is_current, is_applied
  FROM procrastinate_history_details('0035:0036', 'refusals_found');
SELECT * FROM procrastinate_log('refusals_found');
-- something in the way at base
CREATE SCHEMA refusals_taken;
CREATE TYPE refusals_taken.procrastinate_job_status AS ENUM ('todo');
CREATE SEQUENCE refusals_taken.procrastinate_events_id_seq;
CREATE FUNCTION refusals_taken.procrastinate_fetch_job(text[]) RETURNS int LANGUAGE sql RETURN 1;
SELECT procrastinate_upgrade(schema => 'refusals_taken');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE refusals_taken.procrastinate_periodic_defers (id bigint, defer_timestamp bigint,
    queue_name text);
SELECT procrastinate_upgrade('0001', schema => 'refusals_taken');
\echo :LAST_ERROR_SQLSTATE
-- a name that the server would quietly replace by another one
CREATE SCHEMA refusals_named;
CREATE TABLE refusals_named.procrastinate_events_id_seq ();
BEGIN;
SELECT procrastinate_upgrade('0030', schema => 'refusals_named');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
CREATE SCHEMA refusals_viewed;
CREATE VIEW refusals_viewed.procrastinate_workers AS SELECT 1 AS id;
SELECT procrastinate_upgrade(schema => 'refusals_viewed');
\echo :LAST_ERROR_SQLSTATE

\echo ======== PM007: the labels are of this very transaction
CREATE SCHEMA refusals_labels;
SELECT procrastinate_upgrade('0026', 'refusals_labels');
BEGIN;
SELECT procrastinate_upgrade('0028', 'refusals_labels');
SAVEPOINT before;
SELECT procrastinate_upgrade('0038', 'refusals_labels');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO before;
COMMIT;
SELECT procrastinate_upgrade('0038', 'refusals_labels');
\echo ======== unless the types are, too
CREATE SCHEMA refusals_fresh;
BEGIN;
SELECT procrastinate_upgrade('0028', 'refusals_fresh');
SELECT procrastinate_upgrade('0038', 'refusals_fresh');
COMMIT;
DROP SCHEMA refusals_labels, refusals_fresh CASCADE;

\echo ======== a name that search_path takes for another schema
CREATE SCHEMA "$user";
SELECT procrastinate_upgrade(schema => '$user');
\echo :LAST_ERROR_SQLSTATE
DROP SCHEMA "$user";

\echo ======== PM006: a history that this version does not know
CREATE SCHEMA refusals_newer;
SELECT procrastinate_upgrade(schema => 'refusals_newer') = :'head' AS at_head;
SELECT pg_temp.append_history('refusals_newer', 1000, 'upgrade', :'head', '9999', '1.1.0');
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade(schema => 'refusals_newer')$$);
\set VERBOSITY terse
CALL procrastinate_migrate(schema => 'refusals_newer');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT procrastinate_stamp('head', schema => 'refusals_newer')$$);
SELECT * FROM procrastinate_pending(schema => 'refusals_newer');
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_pending('nowhere',
       schema => 'refusals_newer')$$);
-- reads still work, and say so
SELECT revision, is_head, source FROM procrastinate_current('refusals_newer');
SELECT revision, is_current, is_applied
  FROM procrastinate_history_details('0035:0036', 'refusals_newer');
SELECT event, pg_temp.named(from_revision) AS from_revision,
       pg_temp.named(to_revision) AS to_revision, version
  FROM procrastinate_log('refusals_newer');

\echo ======== PM010: something else in place of the history
CREATE SCHEMA refusals_foreign;
CREATE VIEW refusals_foreign.procrastinate_schema_history AS SELECT 1 AS id;
SELECT procrastinate_upgrade(schema => 'refusals_foreign');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_current('refusals_foreign');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_log('refusals_foreign');
\echo :LAST_ERROR_SQLSTATE

\echo ======== schemas that cannot hold an installation, or are not there
SELECT procrastinate_upgrade(schema => 'pg_catalog');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade(schema => 'pg_toast');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT procrastinate_upgrade(schema => 'information_schema');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT * FROM procrastinate_check(schema => 'pg_catalog');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_sql('base:head', schema => 'pg_toast');
\echo :LAST_ERROR_SQLSTATE
-- what lists has no row for them: a query over all schemas needs no condition
SELECT n.nspname, c.revision FROM pg_namespace n, procrastinate_current(n.nspname) c
 WHERE n.nspname ~ '^(pg_|information_schema|refusals$)' ORDER BY 1;
SELECT n.nspname, count(*) FROM pg_namespace n, LATERAL (
    SELECT 1 FROM procrastinate_log(n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_detect(n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_history(schema => n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_history_details(schema => n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_pending(schema => n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_plan(schema => n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_plan_details(schema => n.nspname)
    UNION ALL SELECT 1 FROM procrastinate_supports('3.0.0', schema => n.nspname)) AS found
 WHERE n.nspname IN ('pg_catalog', 'pg_toast', 'information_schema') GROUP BY 1 ORDER BY 1;
CREATE TEMPORARY TABLE makes_the_schema (id int);
-- (its name is another one in each session)
\set VERBOSITY sqlstate
SELECT procrastinate_upgrade(schema => pg_my_temp_schema()::regnamespace);
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade(schema => 'nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_upgrade(schema => 4294967295::oid::regnamespace);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_current(0::oid::regnamespace);
\echo :LAST_ERROR_SQLSTATE
SET search_path = nowhere;
SELECT public.procrastinate_upgrade();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM public.procrastinate_current();
\echo :LAST_ERROR_SQLSTATE
SET search_path = pg_catalog;
SELECT public.procrastinate_upgrade();
\echo :LAST_ERROR_SQLSTATE
SET search_path = refusals, public;

\echo ======== and nothing was changed
SELECT revision FROM procrastinate_current();
SELECT count(*) FROM procrastinate_log();
SELECT n.nspname, count(*)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname LIKE 'refusals\__%' AND n.nspname <> 'refusals_newer'
 GROUP BY 1 ORDER BY 1;

DROP SCHEMA refusals, refusals_hollow, refusals_found, refusals_taken, refusals_named,
    refusals_viewed, refusals_newer,
    refusals_foreign CASCADE;
