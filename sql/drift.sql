-- procrastinate_detect, _check, _adopt, _repair: drift of a schema from a revision.
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
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
SET client_min_messages = notice;
CREATE SCHEMA drift;
SET search_path = drift, public;

-- ---- nothing is there ---------------------------------------------------------------------------
SELECT * FROM procrastinate_detect();
SELECT * FROM procrastinate_check();
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM procrastinate_check('base');
SELECT * FROM procrastinate_check('base');
SELECT * FROM procrastinate_repair();
SELECT procrastinate_adopt();

-- ---- a schema without a history -----------------------------------------------------------------
SET client_min_messages = warning;
SELECT procrastinate_upgrade('0026');
DROP TABLE procrastinate_schema_history;
SET client_min_messages = notice;
SELECT * FROM procrastinate_detect();
SELECT * FROM procrastinate_check();
SELECT count(*) FROM procrastinate_check('0025');
SELECT procrastinate_upgrade('0026', dry_run => true);
SELECT revision, source FROM procrastinate_current();
SELECT procrastinate_adopt();
SELECT revision, source FROM procrastinate_current();
SELECT id, event, from_revision, to_revision, version FROM procrastinate_log();
SELECT procrastinate_adopt();
-- the catalog wins over a history that says otherwise
SELECT procrastinate_stamp('0020', verify => false);
SELECT procrastinate_adopt();
SELECT id, event, from_revision, to_revision FROM procrastinate_log();

-- ---- differences, and their repair -----------------------------------------------------------
DROP INDEX procrastinate_jobs_lock_idx;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_delete_jobs;
ALTER TABLE procrastinate_jobs ALTER COLUMN priority DROP DEFAULT, ADD COLUMN note text;
CREATE INDEX note_idx ON procrastinate_jobs (note);
CREATE VIEW waiting AS SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo';
CREATE OR REPLACE FUNCTION procrastinate_notify_queue() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RETURN NEW; END';
DROP INDEX procrastinate_jobs_queue_name_idx;
SELECT * FROM procrastinate_detect();
\x on
SELECT * FROM procrastinate_check();
\x off
SELECT procrastinate_adopt();
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0026');
\echo :LAST_ERROR_SQLSTATE
-- it is a dry run at first
SELECT kind, object, problem FROM procrastinate_repair();
SELECT count(*) FROM procrastinate_check();
SELECT count(*) FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT id, event, from_revision, to_revision FROM procrastinate_log() ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM procrastinate_repair(dry_run => false);
SELECT count(*) FILTER (WHERE event = 'repair') FROM procrastinate_log();
SELECT * FROM procrastinate_repair(dry_run => NULL);
\echo :LAST_ERROR_SQLSTATE
DROP INDEX note_idx;
ALTER TABLE procrastinate_jobs DROP COLUMN note;
SELECT * FROM procrastinate_detect();
SELECT kind, object, problem, severity FROM procrastinate_check();
DROP VIEW waiting;
SELECT * FROM procrastinate_check();

-- ---- a repair that fails does not keep the others from their work -------------------------------
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, status)
SELECT 'q', 't', 'the lock', 'todo' FROM generate_series(1, 2);
DROP INDEX procrastinate_jobs_lock_idx;
UPDATE procrastinate_jobs SET status = 'doing';
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_delete_jobs;
SELECT * FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem FROM procrastinate_check();
DELETE FROM procrastinate_jobs;
SELECT count(*) FROM procrastinate_repair(dry_run => false);

-- ---- an INVALID index, a constraint NOT VALID, an owner, another schema's function --------------
SET client_min_messages = warning;
-- 0038 is fixed: a later revision may change or drop what is broken here
SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0038');
CREATE SCHEMA drift_two;
SELECT procrastinate_upgrade('0038', 'drift_two');
CREATE ROLE regress_drift;
UPDATE pg_index SET indisvalid = false WHERE indexrelid =
    'procrastinate_jobs_priority_idx_v1'::regclass;
ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey;
ALTER TABLE procrastinate_jobs ADD CONSTRAINT procrastinate_jobs_worker_id_fkey
  FOREIGN KEY (worker_id) REFERENCES procrastinate_workers (id) ON DELETE SET NULL NOT VALID;
ALTER FUNCTION procrastinate_register_worker_v1() OWNER TO regress_drift;
ALTER TYPE procrastinate_job_status ADD VALUE 'paused' AFTER 'todo';
DROP TRIGGER procrastinate_trigger_delete_jobs_v1 ON procrastinate_jobs;
CREATE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE DELETE ON procrastinate_jobs
  FOR EACH ROW EXECUTE FUNCTION drift_two.procrastinate_unlink_periodic_defers_v1();
ALTER SEQUENCE procrastinate_jobs_id_seq OWNED BY NONE;
\x on
-- sorted, because the order of objects of one severity depends on when they last changed
SELECT * FROM procrastinate_check() ORDER BY severity, kind COLLATE "C";
\x off
-- no statement runs for objects of another role
SELECT * FROM procrastinate_repair(dry_run => false);
\echo :LAST_ERROR_SQLSTATE
ALTER FUNCTION procrastinate_register_worker_v1() OWNER TO CURRENT_USER;
SELECT kind, object, problem, repair FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, expected, actual FROM procrastinate_check();
-- the other installation has not changed
SELECT revision, exact, missing, extra, altered
  FROM procrastinate_detect('drift_two');

-- ---- what a repair does not touch: the user's own, and what may have been meant -----------------
SELECT procrastinate_upgrade('0038', 'drift_two');
SET search_path = drift_two, public;
CREATE TABLE own (id int);
DROP INDEX procrastinate_jobs_queue_name_idx_v1;
CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON own (id);
CREATE SEQUENCE own_seq START 100;
ALTER TABLE procrastinate_jobs ALTER COLUMN id SET DEFAULT nextval('own_seq');
ALTER FUNCTION procrastinate_unregister_worker_v1(bigint) SET search_path = drift_two;
CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER own BEFORE INSERT ON procrastinate_events FOR EACH ROW EXECUTE FUNCTION own();
ALTER TABLE procrastinate_events DISABLE TRIGGER ALL;
ALTER TABLE procrastinate_periodic_defers DROP CONSTRAINT procrastinate_periodic_defers_unique;
CREATE UNIQUE INDEX procrastinate_periodic_defers_unique
  ON procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp);
DROP TRIGGER procrastinate_trigger_delete_jobs_v1 ON procrastinate_jobs;
CREATE CONSTRAINT TRIGGER procrastinate_trigger_delete_jobs_v1 AFTER DELETE ON procrastinate_jobs
  FOR EACH ROW EXECUTE FUNCTION procrastinate_unlink_periodic_defers_v1();
ALTER TABLE procrastinate_jobs ADD COLUMN "is not null" text, ADD COLUMN "a default " text NOT NULL,
  ALTER COLUMN lock TYPE text COLLATE "C";
CREATE RULE own AS ON DELETE TO procrastinate_workers DO INSTEAD NOTHING;
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT kind, object, repair FROM procrastinate_repair(dry_run => false);
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname = 'own';
SELECT indrelid::regclass FROM pg_index WHERE indexrelid =
       'procrastinate_jobs_queue_name_idx_v1'::regclass;
SET search_path = drift, public;
SET client_min_messages = error;
DROP SCHEMA drift_two CASCADE;
SET client_min_messages = warning;
CREATE SCHEMA drift_two;
SELECT procrastinate_upgrade('0038', 'drift_two');

-- ---- functions with a search_path ---------------------------------------------------------------
SET search_path = drift_two, public;
CREATE FUNCTION pin(path text) RETURNS TABLE (severity text, repair text, supported boolean)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'ALTER FUNCTION drift_two.procrastinate_unregister_worker_v1(bigint) ' || path;
    RETURN QUERY SELECT c.severity, c.repair, s.supported
                   FROM procrastinate_supports('3.9.0', 'drift_two') s
                   LEFT JOIN procrastinate_check('0038', 'drift_two') c ON true;
END $$;
SELECT * FROM pin('SET search_path = DRIFT_two');
SELECT * FROM pin('SET search_path = regress_drift, pg_temp, "drift_two", drift');
SELECT * FROM pin('SET search_path FROM CURRENT');
SELECT * FROM pin($$SET search_path = ''$$);
SELECT * FROM pin('SET search_path = pg_catalog, pg_temp');
SELECT * FROM pin('SET search_path = "DRIFT_two"');
SELECT * FROM pin('SET search_path = "drift_two, drift"');
-- a schema before it has an object of a name of Procrastinate's
SELECT * FROM pin('SET search_path = drift, drift_two');
CREATE SCHEMA drift_decoy;
SELECT * FROM pin('SET search_path = drift_decoy, drift_two');
CREATE TABLE drift_decoy.procrastinate_workers (id int);
SELECT * FROM pin('SET search_path = drift_decoy, drift_two');
DROP TABLE drift_decoy.procrastinate_workers;
CREATE FUNCTION drift_decoy.procrastinate_finish_job(int) RETURNS int RETURN 1;
SELECT * FROM pin('SET search_path = drift_decoy, drift_two');
DROP FUNCTION drift_decoy.procrastinate_finish_job(int);
CREATE DOMAIN drift_decoy.procrastinate_job_status AS text;
SELECT * FROM pin('SET search_path = drift_decoy, drift_two');
SELECT * FROM pin('SET search_path = pg_catalog, drift_two, drift_decoy');
DROP SCHEMA drift_decoy CASCADE;
-- "$user" is another schema for each caller
SELECT * FROM pin('SET search_path = "$user", drift_two');
SELECT * FROM pin('SET search_path = drift_two, "$user"');
SELECT * FROM pin('SET search_path = "$user"');
ALTER SCHEMA drift_two RENAME TO regress_drift;
GRANT CREATE ON SCHEMA regress_drift TO regress_drift;
ALTER FUNCTION regress_drift.procrastinate_unregister_worker_v1(bigint) OWNER TO regress_drift;
SELECT problem, severity, supported FROM procrastinate_supports('3.9.0', 'regress_drift'),
       procrastinate_check('0038', 'regress_drift') WHERE problem <> 'other owner';
ALTER FUNCTION regress_drift.procrastinate_unregister_worker_v1(bigint) OWNER TO CURRENT_USER;
REVOKE CREATE ON SCHEMA regress_drift FROM regress_drift;
ALTER SCHEMA regress_drift RENAME TO drift_two;
-- a second setting
SELECT * FROM pin('SET work_mem = ''1MB''');
SELECT * FROM pin('SET search_path = drift_two');
SELECT * FROM pin('RESET ALL');
-- the setting does not hide another body
CREATE OR REPLACE FUNCTION procrastinate_unregister_worker_v1(worker_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = drift_two AS 'BEGIN END';
SELECT problem, severity, actual, repair FROM procrastinate_check('0038', 'drift_two');
ALTER FUNCTION procrastinate_unregister_worker_v1(bigint) SET search_path = '';
SELECT supported, advice FROM procrastinate_supports('3.9.0', 'drift_two');
SELECT procrastinate_require('0038', 'error', 'drift_two');
SELECT count(*) FROM procrastinate_repair(schema => 'drift_two', dry_run => false);
SELECT count(*) FROM procrastinate_repair(schema => 'drift_two', dry_run => false);
SELECT supported, advice FROM procrastinate_supports('3.9.0', 'drift_two');

-- ---- bodies that differ in white space only -----------------------------------------------------
CREATE FUNCTION reformat(form text) RETURNS TABLE (object text, actual text)
LANGUAGE plpgsql AS $$
DECLARE
    function regprocedure := 'drift_two.procrastinate_unregister_worker_v1(bigint)';
    body text := (SELECT prosrc FROM pg_proc WHERE oid = function);
BEGIN
    EXECUTE format('UPDATE pg_proc SET prosrc = %s WHERE oid = $2', form) USING body, function;
    RETURN QUERY SELECT c.object, c.actual FROM procrastinate_check('0038', 'drift_two') c;
    UPDATE pg_proc SET prosrc = body WHERE oid = function;
END $$;
SELECT * FROM reformat($$replace($1, E'\n', E'\r\n')$$);
SELECT * FROM reformat($$replace($1, E'\n', E' \f\t\r\n\t ') || E'\n\n  \n'$$);
-- these could change what a literal says
SELECT * FROM reformat($$replace($1, E'\n', E'\r')$$);
SELECT * FROM reformat($$replace($1, E'\n', E'\n\n')$$);
SELECT * FROM reformat($$replace($1, ' = ', '  =  ')$$);
SELECT * FROM reformat($$$1 || repeat(E'\n', 20000)$$);
DROP FUNCTION pin(text), reformat(text);
SET search_path = drift, public;

-- ---- whatever the caller's settings are ---------------------------------------------------------
-- PostgreSQL 19 knows standard strings only.
SELECT current_setting('server_version_num')::integer < 190000 AS has_escapes \gset
SET quote_all_identifiers = on;
SET DateStyle = 'German';
\if :has_escapes
SET standard_conforming_strings = off;
SET escape_string_warning = off;
\endif
SET search_path = '';
SELECT revision, exact, missing, extra, altered
  FROM public.procrastinate_detect('drift_two');
SELECT * FROM public.procrastinate_check('0038', 'drift_two');
SET search_path = drift_two, drift, public;
SELECT revision, exact, missing, extra, altered
  FROM procrastinate_detect('drift_two');
-- also where the session asks for the first time
SET standard_conforming_strings = on;
\c -
\pset format unaligned
\if :has_escapes
SET standard_conforming_strings = off;
SET escape_string_warning = off;
\endif
SELECT revision, exact, missing, extra, altered
  FROM procrastinate_detect('drift_two');
RESET ALL;
SET client_min_messages = warning;

-- ---- relations of another kind in the place of tables -------------------------------------------
CREATE SCHEMA drift_view;
CREATE VIEW drift_view.procrastinate_jobs AS SELECT * FROM drift_two.procrastinate_jobs;
SELECT kind, object, problem, expected, actual, severity
  FROM procrastinate_check('0038', 'drift_view') WHERE object = 'procrastinate_jobs';
SELECT * FROM procrastinate_detect('drift_view');
ALTER TABLE drift_two.procrastinate_periodic_defers SET UNLOGGED;
SELECT kind, object, problem, expected, actual, severity, repair
  FROM procrastinate_check('0038', 'drift_two') WHERE kind <> 'view';

DROP SCHEMA drift, drift_two, drift_view CASCADE;
DROP ROLE regress_drift;
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_superuser;
DROP ROLE regress_superuser;
