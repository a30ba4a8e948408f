-- procrastinate_stamp: records a later or an earlier revision, and checks the catalog first.
\pset format unaligned
\pset null NULL
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA stamp;
SET search_path = stamp, public;

-- ---- forwards: the schema is there, the history is not (adoption by hand) -----------------------
SELECT procrastinate_upgrade('0026');
DROP TABLE procrastinate_schema_history;
SELECT * FROM procrastinate_current();
SELECT procrastinate_stamp('0026');
SELECT revision, is_head, source FROM procrastinate_current();
SELECT id, event, from_revision, to_revision, version FROM procrastinate_log();
-- and on from there, as if it had always been known
SELECT procrastinate_upgrade('0028');
SELECT procrastinate_upgrade('0037');
SELECT revision, is_applied, applied_by = current_user AS by_me, duration IS NOT NULL AS took
  FROM procrastinate_history_details('0025:0029');

-- ---- back, and forwards again: no object is touched ---------------------------------------------
SELECT count(*) AS before FROM pg_class WHERE relnamespace = 'stamp'::regnamespace \gset
SET client_min_messages = notice;
SELECT procrastinate_stamp('0035', verify => false);
SET client_min_messages = warning;
-- the catalog is asked, too
SELECT revision, source FROM procrastinate_current();
SELECT revision, is_applied, is_current FROM procrastinate_history_details('0034:0037');
-- relative targets count from there
SELECT procrastinate_stamp('-1', false);
SELECT procrastinate_stamp('0037');
SELECT count(*) = :before AS untouched FROM pg_class WHERE relnamespace = 'stamp'::regnamespace;
-- to where it is: said once more
SELECT procrastinate_stamp('current');
SELECT event, from_revision, to_revision FROM procrastinate_log() ORDER BY id DESC LIMIT 4;

-- ---- base ---------------------------------------------------------------------------------------
SELECT procrastinate_stamp('base');
\echo :LAST_ERROR_SQLSTATE
-- nobody could go on from there
SELECT procrastinate_stamp('base', verify => false);
\echo :LAST_ERROR_SQLSTATE
SELECT event, from_revision, to_revision FROM procrastinate_log() ORDER BY id DESC LIMIT 1;
-- an empty schema is at base
CREATE SCHEMA stamp_empty;
SELECT procrastinate_stamp('0027', schema => 'stamp_empty');
SELECT procrastinate_stamp('base', schema => 'stamp_empty');
SELECT * FROM procrastinate_current('stamp_empty');
SELECT procrastinate_upgrade('0002', schema => 'stamp_empty');
SELECT id, event, from_revision, to_revision FROM procrastinate_log('stamp_empty');

-- ---- verify: accepts what is so, refuses what is not --------------------------------------------
CREATE SCHEMA stamp_verify;
SELECT procrastinate_upgrade('0009', schema => 'stamp_verify');
SELECT procrastinate_stamp('0009', true, 'stamp_verify');
SELECT procrastinate_stamp('0010', true, 'stamp_verify');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0008', true, 'stamp_verify');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0037', true, 'stamp_verify');
\echo :LAST_ERROR_SQLSTATE
-- NULL is the default
SELECT procrastinate_stamp('0037', NULL, 'stamp_verify');
\echo :LAST_ERROR_SQLSTATE
-- tables and views of the user are no differences
CREATE TABLE stamp_verify.my_own (id int);
CREATE VIEW stamp_verify.my_view AS SELECT status FROM stamp_verify.procrastinate_jobs;
SELECT procrastinate_stamp('0009', schema => 'stamp_verify');
-- nor are columns and indexes of the user on Procrastinate's tables
ALTER TABLE stamp_verify.procrastinate_jobs ADD COLUMN my_own int;
CREATE INDEX my_own_idx ON stamp_verify.procrastinate_jobs (my_own);
SELECT procrastinate_stamp('0009', schema => 'stamp_verify');
ALTER TABLE stamp_verify.procrastinate_jobs DROP COLUMN my_own;
-- an index that went missing is
DROP INDEX stamp_verify.procrastinate_jobs_queueing_lock_idx;
SELECT procrastinate_stamp('0009', schema => 'stamp_verify');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0009', verify => false, schema => 'stamp_verify');
SELECT count(*) FILTER (WHERE event = 'stamp'), count(*) FROM procrastinate_log('stamp_verify');

-- the hint of a refusal can be pasted, whatever the schema is called
CREATE SCHEMA "stamp's ""odd"" one";
SELECT procrastinate_stamp('0001', schema => 'stamp''s "odd" one');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_stamp('0001', verify => false, schema => 'stamp''s "odd" one');
-- it rolls back with the caller
BEGIN;
SELECT procrastinate_stamp('0002', verify => false, schema => 'stamp''s "odd" one');
ROLLBACK;
SELECT revision, source FROM procrastinate_current('stamp''s "odd" one');

-- every revision verifies against the schema that the chain makes of it, stepwise
CREATE SCHEMA stamp_each;
CREATE PROCEDURE pg_temp.each(INOUT refused text DEFAULT '') LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    FOR n IN 1 .. (SELECT max(revision) FROM procrastinate_heads())::integer LOOP
        PERFORM procrastinate_upgrade(n::text, 'stamp_each');
        BEGIN
            PERFORM procrastinate_stamp(n::text, schema => 'stamp_each');
        EXCEPTION WHEN OTHERS THEN
            refused := refused || n || ': ' || sqlstate || ' ' || sqlerrm;
        END;
        COMMIT;
    END LOOP;
END $$;
CALL pg_temp.each();
DROP SCHEMA stamp, stamp_empty, stamp_verify, "stamp's ""odd"" one", stamp_each CASCADE;
