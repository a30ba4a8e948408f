-- Steps of 0031. Once no function can set status 'aborting', batches update the jobs that have it.
-- The triggers of 0030 write no event for these updates. They notify only of jobs whose
-- abort_requested somebody has set back to false.
-- The index build comes before the batches: it waits for all transactions that may have called
-- such a function. The constraint is validated while clients work.

-- step brief: drop the functions of older releases
-- The functions of the triggers of 0030, which run for each row of the batches, with operators and
-- functions of pg_catalog only.
CREATE OR REPLACE FUNCTION procrastinate_sync_abort_requested_with_status_temp()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.status OPERATOR(pg_catalog.=) 'aborting' THEN
        NEW.abort_requested := true;
    END IF;
    RETURN NEW;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_trigger_status_events_procedure_update()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    event_type procrastinate_job_event_type;
BEGIN
    event_type := CASE
        WHEN OLD.status OPERATOR(pg_catalog.=) 'todo' THEN
            CASE
                WHEN NEW.status OPERATOR(pg_catalog.=) 'doing' THEN 'started'
                WHEN NEW.status OPERATOR(pg_catalog.=) 'succeeded'
                    OR NEW.status OPERATOR(pg_catalog.=) 'failed'
                    OR NEW.status OPERATOR(pg_catalog.=) 'cancelled' THEN 'cancelled'
            END
        WHEN OLD.status OPERATOR(pg_catalog.=) 'doing' THEN
            CASE
                WHEN NEW.status OPERATOR(pg_catalog.=) 'todo' THEN 'deferred_for_retry'
                WHEN NEW.status OPERATOR(pg_catalog.=) 'succeeded' THEN 'succeeded'
                WHEN NEW.status OPERATOR(pg_catalog.=) 'failed' THEN 'failed'
                WHEN NEW.status OPERATOR(pg_catalog.=) 'aborting' THEN 'abort_requested'
                WHEN NEW.status OPERATOR(pg_catalog.=) 'aborted' THEN 'aborted'
            END
        WHEN OLD.status OPERATOR(pg_catalog.=) 'aborting'
            AND NEW.status OPERATOR(pg_catalog.=) 'aborted' THEN 'aborted'
    END;

    IF event_type IS NOT NULL THEN
        INSERT INTO procrastinate_events (job_id, type)
        VALUES (NEW.id, event_type);
    END IF;

    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_notify_queue_abort_job_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    payload text;
BEGIN
    payload :=
        pg_catalog.json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text;
    PERFORM pg_catalog.pg_notify(
        'procrastinate_queue_v1#' OPERATOR(pg_catalog.||) NEW.queue_name, payload);
    PERFORM pg_catalog.pg_notify('procrastinate_any_queue_v1', payload);
    RETURN NULL;
END;
$$;

-- rest only DROP FUNCTION procrastinate_fetch_job, DROP FUNCTION procrastinate_finish_job, DROP FUNCTION procrastinate_cancel_job, DROP FUNCTION procrastinate_retry_job, DROP FUNCTION procrastinate_defer_periodic_job, DROP FUNCTION procrastinate_defer_job

-- step concurrent: build the index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

-- step batched procrastinate_jobs: update the aborting jobs
UPDATE procrastinate_jobs
SET status = 'doing', abort_requested = true
WHERE id OPERATOR(pg_catalog.>=) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND status OPERATOR(pg_catalog.=) 'aborting';

-- step validated: update the aborting jobs that are left
-- lock procrastinate_jobs ROW EXCLUSIVE
UPDATE procrastinate_jobs
SET status = 'doing', abort_requested = true
WHERE status OPERATOR(pg_catalog.=) 'aborting';
-- rest only DO

-- step brief: add the constraint
-- lock procrastinate_jobs ACCESS EXCLUSIVE
ALTER TABLE procrastinate_jobs
    ADD CONSTRAINT check_not_todo_abort_requested
        CHECK (NOT (status OPERATOR(pg_catalog.=) 'todo' AND abort_requested = true)) NOT VALID;

-- step validated: validate the constraint
-- lock procrastinate_jobs SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_jobs VALIDATE CONSTRAINT check_not_todo_abort_requested;

-- step brief: exchange the triggers, rename the indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without LOCK TABLE, CREATE INDEX, ALTER TABLE, UPDATE, DO, DROP FUNCTION procrastinate_fetch_job, DROP FUNCTION procrastinate_finish_job, DROP FUNCTION procrastinate_cancel_job, DROP FUNCTION procrastinate_retry_job, DROP FUNCTION procrastinate_defer_periodic_job, DROP FUNCTION procrastinate_defer_job
