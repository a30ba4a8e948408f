-- External version tables: adoption reads alembic_version and django_migrations, and changes keep
-- Alembic's row in step.
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
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE ROLE regress_other_role;
CREATE SCHEMA version_table_sync;
SET search_path = version_table_sync, public;

-- ---- from nothing on, in Alembic's own ids ------------------------------------------------------
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('ae1027a6acf'), ('0005');
SET procrastinate_migrate.alembic_version = 'version_table_sync.alembic_version';
-- 0005 may be this chain's or another's
BEGIN;
SELECT procrastinate_upgrade('0001');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
SET procrastinate_migrate.alembic_ids = zero_based;
SELECT procrastinate_upgrade('0001');
SELECT * FROM alembic_version ORDER BY 1;
RESET procrastinate_migrate.alembic_ids;
SELECT procrastinate_upgrade('0003');
SELECT * FROM alembic_version ORDER BY 1;
-- a plain number counts if it is the only one, and that of the schema
DELETE FROM alembic_version;
INSERT INTO alembic_version VALUES ('ae1027a6acf'), ('0003');
BEGIN;
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
-- and may be ahead already
UPDATE alembic_version SET version_num = '0005' WHERE version_num = '0004';
SELECT procrastinate_upgrade('0005');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
BEGIN;
INSERT INTO alembic_version VALUES ('0007');
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
BEGIN;
UPDATE alembic_version SET version_num = '0002' WHERE version_num = '0003';
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
-- beside an id with a prefix it is another chain's, which may be at the same number
BEGIN;
INSERT INTO alembic_version VALUES ('procrastinate_0002'), ('billing_0003');
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
-- ids with the names of the files, and with other prefixes, keep their form
BEGIN;
ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar(64);
UPDATE alembic_version SET version_num = '0003_00.05.00_02_drop_started_at_column'
 WHERE version_num = '0003';
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
UPDATE alembic_version SET version_num = 'jobs-procrastinate_0003' WHERE version_num ~ '^0004';
SELECT procrastinate_upgrade('0005');
SELECT * FROM alembic_version ORDER BY 1;
-- two packages, two installations: which is this one's is not known
INSERT INTO alembic_version VALUES ('procrastinate_0004');
SELECT procrastinate_upgrade('0006');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
-- unless it is said that such ids are none of ours
SET procrastinate_migrate.alembic_ids = zero_based;
BEGIN;
SELECT procrastinate_upgrade('0004');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
SET procrastinate_migrate.alembic_ids = plain;
CALL procrastinate_migrate('0004');
SELECT * FROM alembic_version ORDER BY 1;
-- where the new row is there already, the old one goes
BEGIN;
INSERT INTO alembic_version VALUES ('0005');
SELECT procrastinate_upgrade('0005');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
-- a stamp and an adoption, too
SELECT procrastinate_stamp('0006', verify => false);
SELECT * FROM alembic_version ORDER BY 1;
SELECT procrastinate_adopt();
SELECT * FROM alembic_version ORDER BY 1;
-- what fails leaves it alone
BEGIN;
SELECT procrastinate_upgrade('0007');
ROLLBACK;
SELECT * FROM alembic_version ORDER BY 1;
-- and one that is somewhere else is left where it is
UPDATE alembic_version SET version_num = '0011' WHERE version_num = '0004';
SELECT procrastinate_upgrade('0005');
SELECT * FROM alembic_version ORDER BY 1;
CREATE SCHEMA away;
ALTER TABLE procrastinate_schema_history SET SCHEMA away;
ALTER TABLE procrastinate_jobs RENAME TO jobs;
SELECT procrastinate_stamp('base', schema => 'away');
ALTER TABLE away.procrastinate_schema_history SET SCHEMA version_table_sync;
ALTER TABLE jobs RENAME TO procrastinate_jobs;
DROP SCHEMA away;
SELECT * FROM alembic_version ORDER BY 1;
SELECT procrastinate_adopt();
SELECT * FROM alembic_version ORDER BY 1;
CREATE SCHEMA away;
ALTER TABLE procrastinate_schema_history SET SCHEMA away;
ALTER TABLE procrastinate_jobs RENAME TO jobs;
SELECT procrastinate_stamp('base', schema => 'away');
ALTER TABLE away.procrastinate_schema_history SET SCHEMA version_table_sync;
ALTER TABLE jobs RENAME TO procrastinate_jobs;
DROP SCHEMA away;
SELECT * FROM alembic_version ORDER BY 1;
SELECT procrastinate_adopt();

-- an installation beside another one's row does not take it
SET procrastinate_migrate.alembic_ids = zero_based;
DELETE FROM alembic_version;
INSERT INTO alembic_version VALUES ('procrastinate_0037');
SELECT procrastinate_upgrade('0006');
SELECT * FROM alembic_version ORDER BY 1;
SELECT procrastinate_stamp('0005', verify => false);
DELETE FROM alembic_version;

-- ---- a call of several migrations warns once, of the state at its end ---------------------------
CREATE SCHEMA version_table_sync_calls;
SET search_path = version_table_sync_calls, public;
SET procrastinate_migrate.alembic_version = 'version_table_sync_calls.alembic_version';
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
SELECT procrastinate_upgrade('0009', 'version_table_sync_calls');
UPDATE alembic_version SET version_num = 'procrastinate_0001';
BEGIN;
SELECT procrastinate_upgrade('0012');
SELECT * FROM alembic_version;
ROLLBACK;
SELECT procrastinate_upgrade('0012', dry_run => true);
CALL procrastinate_migrate('0012');
SELECT * FROM alembic_version;
CALL procrastinate_migrate('0012');
-- of where the call began
BEGIN;
SET LOCAL procrastinate_migrate.alembic_ids = auto;
INSERT INTO alembic_version VALUES ('procrastinate_0011'), ('jobs_procrastinate_0011');
SELECT procrastinate_upgrade('0014');
SELECT * FROM alembic_version ORDER BY 1;
ROLLBACK;
-- a row that is ahead is in step from its revision on
UPDATE alembic_version SET version_num = 'procrastinate_0013';
CALL procrastinate_migrate('0016');
SELECT * FROM alembic_version;
-- of an adoption, too
DROP TABLE procrastinate_schema_history;
UPDATE alembic_version SET version_num = 'procrastinate_0001';
BEGIN;
SELECT procrastinate_upgrade('0018');
SELECT * FROM alembic_version;
ROLLBACK;
RESET procrastinate_migrate.alembic_version;
CALL procrastinate_migrate('0018');
DROP SCHEMA version_table_sync_calls CASCADE;
SET search_path = version_table_sync, public;
SET procrastinate_migrate.alembic_version = 'version_table_sync.alembic_version';

-- ---- one table, and two installations -----------------------------------------------------------
CREATE SCHEMA version_table_sync_a;
CREATE SCHEMA version_table_sync_b;
CREATE SCHEMA version_table_sync_shared;
RESET procrastinate_migrate.alembic_version;
SELECT procrastinate_upgrade('0030', 'version_table_sync_a');
SELECT procrastinate_upgrade('0029', 'version_table_sync_b');
CREATE TABLE version_table_sync_shared.alembic_version (version_num varchar(32) PRIMARY KEY);
SET search_path = version_table_sync_shared, public;
SET procrastinate_migrate.alembic_version = 'version_table_sync_shared.alembic_version';
RESET procrastinate_migrate.alembic_ids;
-- a row that the upgrade meets on its way is the other's, whatever its form
INSERT INTO alembic_version VALUES ('0030');
BEGIN;
SELECT procrastinate_upgrade('0032', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
BEGIN;
SET LOCAL procrastinate_migrate.alembic_ids = plain;
SELECT procrastinate_upgrade('0031', 'version_table_sync_b');
UPDATE alembic_version SET version_num = 'procrastinate_0031';
SELECT * FROM alembic_version;
RESET procrastinate_migrate.alembic_ids;
SELECT procrastinate_upgrade('0033', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
-- one that is ahead and stays so needs nothing
BEGIN;
SELECT procrastinate_upgrade('0030', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
-- nothing tells whose number it is
UPDATE alembic_version SET version_num = '0029';
BEGIN;
SELECT procrastinate_upgrade('0031', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
-- but the user
BEGIN;
SET LOCAL procrastinate_migrate.alembic_ids = plain;
SELECT procrastinate_upgrade('0031', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
BEGIN;
ALTER TABLE alembic_version SET SCHEMA version_table_sync_b;
SET LOCAL procrastinate_migrate.alembic_version = 'version_table_sync_b.alembic_version';
SELECT procrastinate_upgrade('0031', 'version_table_sync_b');
SELECT * FROM version_table_sync_b.alembic_version;
ROLLBACK;
UPDATE alembic_version SET version_num = 'procrastinate_0028';
BEGIN;
SELECT procrastinate_upgrade('0031', 'version_table_sync_b');
SELECT * FROM alembic_version;
ROLLBACK;
-- in a call with many transactions, too
UPDATE alembic_version SET version_num = '0030';
CALL procrastinate_migrate('0032', schema => 'version_table_sync_b');
SELECT * FROM alembic_version;
DROP SCHEMA version_table_sync_a, version_table_sync_b, version_table_sync_shared CASCADE;
SET search_path = version_table_sync, public;
SET procrastinate_migrate.alembic_version = 'version_table_sync.alembic_version';
SET procrastinate_migrate.alembic_ids = zero_based;

-- ---- settings that are none ---------------------------------------------------------------------
SET procrastinate_migrate.alembic_version = 'alembic_version';
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
SET procrastinate_migrate.alembic_version = 'version_table_sync.no_such_table';
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
SET procrastinate_migrate.alembic_version = 'version_table_sync."alembic';
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
SET procrastinate_migrate.alembic_version = 'version_table_sync.procrastinate_jobs';
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
-- tables that would run code of another role
SET procrastinate_migrate.alembic_version = 'version_table_sync.alembic_version';
ALTER TABLE alembic_version OWNER TO regress_other_role;
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
-- nor is a table locked that the caller may not write
SET procrastinate_migrate.alembic_version = 'pg_catalog.pg_class';
BEGIN;
GRANT USAGE, CREATE ON SCHEMA version_table_sync TO regress_other_role;
CREATE SCHEMA in_step_other AUTHORIZATION regress_other_role;
SET LOCAL ROLE regress_other_role;
SELECT procrastinate_upgrade('0006', 'in_step_other');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SET procrastinate_migrate.alembic_version = 'version_table_sync.alembic_version';
ALTER TABLE alembic_version OWNER TO CURRENT_USER;
CREATE TRIGGER same BEFORE UPDATE ON alembic_version FOR EACH ROW
  EXECUTE FUNCTION suppress_redundant_updates_trigger();
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE alembic_version;
CREATE VIEW alembic_version AS SELECT 'procrastinate_0000'::varchar AS version_num;
SELECT procrastinate_upgrade('0006');
\echo :LAST_ERROR_SQLSTATE
SELECT revision FROM procrastinate_current();
RESET procrastinate_migrate.alembic_version;
SELECT procrastinate_upgrade('0006');

-- ---- adoption -----------------------------------------------------------------------------------
-- views, other columns and other types say nothing, and run nothing
DROP TABLE procrastinate_schema_history;
CREATE TABLE django_migrations (id int, app text, name text);
INSERT INTO django_migrations VALUES (1, 'procrastinate', '0003_any');
SELECT procrastinate_adopt();
DROP VIEW alembic_version;
DROP TABLE django_migrations;
-- the schema's own come first, and are all heard
CREATE SCHEMA version_table_sync_other;
CREATE TABLE version_table_sync_other.alembic_version (version_num varchar(32));
INSERT INTO version_table_sync_other.alembic_version VALUES ('procrastinate_0037'), ('0012');
-- no text of another role comes into a message
INSERT INTO version_table_sync_other.alembic_version VALUES (E'x\nHINT: procrastinate_0030');
DROP TABLE procrastinate_schema_history;
SELECT procrastinate_adopt();
CREATE TABLE django_migrations (id int, app varchar(255), name varchar(255));
INSERT INTO django_migrations VALUES (1, 'procrastinate', '0001_initial'),
    (2, 'procrastinate', E'0026_any.\\nHINT:  run it'),
  (3, 'auth', '0012_any');
CREATE TABLE alembic_version (version_num varchar(32));
INSERT INTO alembic_version VALUES ('0012'), ('b0b'), ('procrastinate_0005');
DROP TABLE procrastinate_schema_history;
SELECT procrastinate_adopt();
-- where the catalog shows no revision exactly, they are quoted
DELETE FROM alembic_version WHERE version_num = 'procrastinate_0005';
DROP INDEX procrastinate_jobs_queue_name_idx;
SELECT procrastinate_adopt();

DROP SCHEMA version_table_sync, version_table_sync_other CASCADE;
DROP ROLE regress_other_role;
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_superuser;
DROP ROLE regress_superuser;
