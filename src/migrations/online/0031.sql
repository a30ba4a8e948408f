-- 0031 under load: once no function can make a job 'aborting', batches turn those that are; the triggers of 0030
-- write no event for that, and do not notify, since the wish to abort is there already. To build the index comes
-- first: it waits for all who may have called such a function before. The constraint comes while everybody works.

-- step brief: drop what older releases call
-- What the triggers of 0030 do for each row of the batches, without a look at the schema's own operators.
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

-- rest only DROP FUNCTION procrastinate_fetch_job, DROP FUNCTION procrastinate_finish_job, DROP FUNCTION procrastinate_cancel_job, DROP FUNCTION procrastinate_retry_job, DROP FUNCTION procrastinate_defer_periodic_job, DROP FUNCTION procrastinate_defer_job

-- step concurrent: index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

-- step batched procrastinate_jobs: jobs that are being aborted
UPDATE procrastinate_jobs
SET status = 'doing', abort_requested = true
WHERE id OPERATOR(pg_catalog.>) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND status OPERATOR(pg_catalog.=) 'aborting';

-- step validated: no job is left behind
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

-- step validated: the constraint holds
-- lock procrastinate_jobs SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_jobs VALIDATE CONSTRAINT check_not_todo_abort_requested;

-- step brief: exchange the triggers, rename the indexes
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without LOCK TABLE, CREATE INDEX, ALTER TABLE, UPDATE, DO, DROP FUNCTION procrastinate_fetch_job, DROP FUNCTION procrastinate_finish_job, DROP FUNCTION procrastinate_cancel_job, DROP FUNCTION procrastinate_retry_job, DROP FUNCTION procrastinate_defer_periodic_job, DROP FUNCTION procrastinate_defer_job
