-- Second half of the schema of release 3.0: drops what only older releases call. Jobs with status
-- 'aborting' become 'doing' with abort_requested = true, without an event or a notification.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs for two scans of the table, or three if most jobs
-- are waiting: workers stand still (0.3 s for 1 million jobs). The table is not rewritten, and
-- indexes whose definition stays are renamed. procrastinate_events and
-- procrastinate_periodic_defers can be read and written.
-- Fails if a job is 'todo' with abort_requested = true (a new client cancelled it, and an old
-- worker retried it), or if two jobs with the same lock are running and one of them is 'aborting'.
-- Change such jobs first.

LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE;

DROP TRIGGER procrastinate_jobs_notify_queue ON procrastinate_jobs;
DROP TRIGGER procrastinate_jobs_notify_queue_job_inserted_temp ON procrastinate_jobs;
DROP TRIGGER procrastinate_jobs_notify_queue_job_aborted_temp ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_sync_abort_requested_with_status_temp ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_insert ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_update ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_scheduled_events ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_delete_jobs ON procrastinate_jobs;

DROP FUNCTION procrastinate_notify_queue();
DROP FUNCTION procrastinate_sync_abort_requested_with_status_temp();
DROP FUNCTION procrastinate_trigger_status_events_procedure_insert();
DROP FUNCTION procrastinate_trigger_status_events_procedure_update();
DROP FUNCTION procrastinate_trigger_scheduled_events_procedure();
DROP FUNCTION procrastinate_unlink_periodic_defers();
DROP FUNCTION procrastinate_fetch_job(character varying[]);
DROP FUNCTION procrastinate_finish_job(bigint, procrastinate_job_status, boolean);
DROP FUNCTION procrastinate_finish_job(integer, procrastinate_job_status, timestamp with time zone, boolean);
DROP FUNCTION procrastinate_cancel_job(bigint, boolean, boolean);
DROP FUNCTION procrastinate_retry_job(bigint, timestamp with time zone);
DROP FUNCTION procrastinate_retry_job(
    bigint, timestamp with time zone, integer, character varying, character varying
);
DROP FUNCTION procrastinate_defer_periodic_job(
    character varying, character varying, character varying, character varying, character varying,
    bigint, jsonb
);
DROP FUNCTION procrastinate_defer_periodic_job(
    character varying, character varying, character varying, character varying, integer, character varying,
    bigint, jsonb
);
DROP FUNCTION procrastinate_defer_job(
    character varying, character varying, text, text, jsonb, timestamp with time zone
);
DROP FUNCTION procrastinate_defer_job(
    character varying, character varying, integer, text, text, jsonb, timestamp with time zone
);

-- Foreign keys with the same names keep them. Only the indexes are renamed.
ALTER INDEX procrastinate_jobs_queue_name_idx RENAME TO procrastinate_jobs_queue_name_idx_v1;
ALTER INDEX procrastinate_jobs_queueing_lock_idx RENAME TO procrastinate_jobs_queueing_lock_idx_v1;
ALTER INDEX procrastinate_jobs_lock_idx RENAME TO procrastinate_jobs_lock_idx_v1;
ALTER INDEX procrastinate_jobs_priority_idx RENAME TO procrastinate_jobs_priority_idx_v1;
ALTER INDEX procrastinate_events_job_id_fkey RENAME TO procrastinate_events_job_id_fkey_v1;
ALTER INDEX procrastinate_periodic_defers_job_id_fkey RENAME TO procrastinate_periodic_defers_job_id_fkey_v1;

CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

ALTER TABLE procrastinate_jobs
    ADD CONSTRAINT check_not_todo_abort_requested
        CHECK (NOT (status OPERATOR(pg_catalog.=) 'todo' AND abort_requested = true));

-- The UPDATE comes after everything that alters the table: ALTER TABLE fails while events of a
-- deferred trigger are pending. It comes before the triggers that write events and notify.
UPDATE procrastinate_jobs
SET status = 'doing', abort_requested = true
WHERE status OPERATOR(pg_catalog.=) 'aborting';

-- At this point the table has no trigger of Procrastinate.
DO $$
BEGIN
    IF EXISTS (
        SELECT
        FROM pg_catalog.pg_class AS c
        WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass('procrastinate_jobs')::pg_catalog.oid
            AND (
                c.relhasrules
                OR EXISTS (
                    SELECT
                    FROM pg_catalog.pg_trigger AS t
                    WHERE t.tgrelid OPERATOR(pg_catalog.=) c.oid
                        AND NOT t.tgisinternal
                )
            )
    ) AND EXISTS (
        SELECT FROM procrastinate_jobs AS jobs WHERE jobs.status OPERATOR(pg_catalog.=) 'aborting'
    ) THEN
        RAISE EXCEPTION 'jobs that are "aborting" did not become "doing"'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = 'A trigger or a rule on procrastinate_jobs has kept them as they were.',
                HINT = 'Disable it for the time of this migration.';
    END IF;
END
$$;

DROP INDEX procrastinate_jobs_id_lock_idx;

CREATE FUNCTION procrastinate_trigger_function_status_events_insert_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    VALUES (NEW.id, 'deferred');
    RETURN NULL;
END;
$$;

CREATE FUNCTION procrastinate_trigger_function_status_events_update_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    event_type procrastinate_job_event_type;
BEGIN
    event_type := CASE OLD.status
        WHEN 'todo' THEN
            CASE
                WHEN NEW.status = 'doing' THEN 'started'
                WHEN NEW.status IN ('succeeded', 'failed', 'cancelled') THEN 'cancelled'
            END
        WHEN 'doing' THEN
            CASE NEW.status
                WHEN 'todo' THEN 'deferred_for_retry'
                WHEN 'succeeded' THEN 'succeeded'
                WHEN 'failed' THEN 'failed'
                WHEN 'aborted' THEN 'aborted'
            END
    END;

    IF event_type IS NOT NULL THEN
        INSERT INTO procrastinate_events (job_id, type)
        VALUES (NEW.id, event_type);
    END IF;

    RETURN NULL;
END;
$$;

CREATE FUNCTION procrastinate_trigger_function_scheduled_events_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type, at)
    VALUES (NEW.id, 'scheduled', NEW.scheduled_at);
    RETURN NULL;
END;
$$;

CREATE FUNCTION procrastinate_trigger_abort_requested_events_procedure_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    VALUES (NEW.id, 'abort_requested');
    RETURN NULL;
END;
$$;

CREATE FUNCTION procrastinate_unlink_periodic_defers_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_periodic_defers AS defers
    SET job_id = NULL
    WHERE defers.job_id = OLD.id;
    RETURN OLD;
END;
$$;

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW
    WHEN (
        OLD.abort_requested = false AND NEW.abort_requested = true
        AND NEW.status OPERATOR(pg_catalog.=) 'doing'
    )
    EXECUTE FUNCTION procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_function_status_events_insert_v1();

CREATE TRIGGER procrastinate_trigger_status_events_update_v1
    AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_trigger_function_status_events_update_v1();

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1
    AFTER INSERT OR UPDATE ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.scheduled_at IS NOT NULL AND NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_function_scheduled_events_v1();

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.abort_requested = true)
    EXECUTE FUNCTION procrastinate_trigger_abort_requested_events_procedure_v1();

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1
    BEFORE DELETE ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_unlink_periodic_defers_v1();
