-- Objects under another name: procrastinate_check and _detect tell them, procrastinate_repair gives
-- them their names back, and nothing makes a second copy.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA "re named";
SET search_path = "re named", public;
-- 0035 is fixed: a later revision may have other objects
SELECT procrastinate_upgrade('0035');
CREATE VIEW pg_temp.objects AS
SELECT relname::text AS name FROM pg_class WHERE relnamespace = '"re named"'::regnamespace
UNION ALL SELECT conname FROM pg_constraint WHERE connamespace = '"re named"'::regnamespace
UNION ALL SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
           WHERE c.relnamespace = '"re named"'::regnamespace AND NOT t.tgisinternal;
CREATE TABLE pg_temp.before AS SELECT * FROM pg_temp.objects;

-- ---- a sequence: one difference, and no reason to refuse an upgrade -----------------------------
ALTER SEQUENCE procrastinate_jobs_id_seq RENAME TO "shadow's ""seq""";
SELECT kind, object, problem, actual, severity, repair FROM procrastinate_check();
SELECT revision, exact, missing, extra, altered FROM procrastinate_detect() LIMIT 1;
SELECT procrastinate_upgrade('0036', dry_run => true);
SELECT kind, object, error FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

-- ---- one of each kind at once -------------------------------------------------------------------
ALTER SEQUENCE procrastinate_workers_id_seq RENAME TO shadow_workers_id_seq;
ALTER INDEX procrastinate_jobs_lock_idx_v1 RENAME TO shadow_lock_idx;
ALTER INDEX procrastinate_jobs_queue_name_idx_v1 RENAME TO "shadow queue";
ALTER TABLE procrastinate_events RENAME CONSTRAINT procrastinate_events_job_id_fkey TO "fk events";
ALTER TABLE procrastinate_events RENAME CONSTRAINT procrastinate_events_pkey TO pk;
ALTER TABLE procrastinate_periodic_defers
    RENAME CONSTRAINT procrastinate_periodic_defers_unique TO uq_defers;
ALTER TABLE procrastinate_jobs RENAME CONSTRAINT check_not_todo_abort_requested TO ck;
ALTER TRIGGER procrastinate_trigger_delete_jobs_v1 ON procrastinate_jobs RENAME TO "tr jobs";
SELECT kind, object, problem, severity, repair FROM procrastinate_check()
 ORDER BY kind COLLATE "C", object COLLATE "C";
SELECT revision, exact, missing, extra, altered FROM procrastinate_detect() LIMIT 1;
-- an upgrade stops for names that Procrastinate's code uses
SELECT procrastinate_upgrade('0036');
SELECT kind, object, problem, error FROM procrastinate_repair(dry_run => false)
 ORDER BY kind COLLATE "C", object COLLATE "C";
SELECT * FROM procrastinate_check();
SELECT procrastinate_upgrade('0036', dry_run => true);
SELECT name FROM (TABLE pg_temp.objects EXCEPT ALL TABLE pg_temp.before) added
UNION ALL SELECT name FROM (TABLE pg_temp.before EXCEPT ALL TABLE pg_temp.objects) gone;

-- ---- what is no rename --------------------------------------------------------------------------
-- a unique index of the user's does not become a primary key
ALTER TABLE procrastinate_periodic_defers DROP CONSTRAINT procrastinate_periodic_defers_pkey;
CREATE UNIQUE INDEX mine ON procrastinate_periodic_defers (id);
-- a constraint's index does not become an index of its own
DROP INDEX procrastinate_jobs_priority_idx_v1;
CREATE INDEX mine_too ON procrastinate_jobs (priority DESC, id) WHERE status = 'doing';
-- the rest of a failed build
DROP INDEX idx_procrastinate_workers_last_heartbeat;
CREATE INDEX broken ON procrastinate_workers (last_heartbeat);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass;
SELECT kind, object, problem, severity, repair FROM procrastinate_check()
 ORDER BY kind COLLATE "C", object COLLATE "C";
SELECT count(*) FROM procrastinate_repair(dry_run => false);
DROP INDEX mine, mine_too, broken;
SELECT * FROM procrastinate_check();

-- ---- the name is taken --------------------------------------------------------------------------
ALTER INDEX procrastinate_jobs_lock_idx_v1 RENAME TO shadow_lock_idx;
CREATE SEQUENCE procrastinate_jobs_lock_idx_v1;
SELECT kind, object, problem, severity, repair FROM procrastinate_check();
SELECT count(*) FROM procrastinate_repair(dry_run => false);
DROP SEQUENCE procrastinate_jobs_lock_idx_v1;
SELECT kind, object, problem, repair FROM procrastinate_repair(dry_run => false);
SELECT * FROM procrastinate_check();

-- ---- without a history --------------------------------------------------------------------------
DROP TABLE procrastinate_schema_history;
ALTER INDEX procrastinate_jobs_lock_idx_v1 RENAME TO shadow_lock_idx;
SELECT procrastinate_adopt();
SELECT kind, object, problem FROM procrastinate_repair(dry_run => false);
SELECT procrastinate_adopt();
DROP SCHEMA "re named" CASCADE;
