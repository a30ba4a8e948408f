-- procrastinate_fetch_job no longer writes started_at, so that 0003 can drop the column.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
BEGIN
    SELECT jobs.*
    INTO found_job
    FROM procrastinate_jobs AS jobs
    WHERE jobs.status = 'todo'
        AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
        AND (
            procrastinate_fetch_job.target_queue_names IS NULL
            OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
        )
        AND NOT EXISTS (
            SELECT FROM procrastinate_job_locks AS locks WHERE locks.object = jobs.lock
        )
    ORDER BY jobs.id
    LIMIT 1
    FOR UPDATE OF jobs SKIP LOCKED;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF found_job.lock IS NOT NULL THEN
        INSERT INTO procrastinate_job_locks (object)
        VALUES (found_job.lock)
        ON CONFLICT DO NOTHING;

        -- Another session was faster with a job of the same lock.
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing'
    WHERE jobs.id = found_job.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;
