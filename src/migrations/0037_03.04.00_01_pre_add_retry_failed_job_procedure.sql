-- A failed job can be retried.
-- Locks: none on tables. Adds a label to an enum type and a function, which takes a moment. A
-- label that exists is left alone.

ALTER TYPE procrastinate_job_event_type ADD VALUE IF NOT EXISTS 'retried' AFTER 'scheduled';

CREATE FUNCTION procrastinate_retry_job_v2(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    current_status procrastinate_job_status;
    must_abort boolean;
BEGIN
    -- Waits for a request to abort that is not committed, but not for a job in another status.
    SELECT jobs.status, jobs.abort_requested INTO current_status, must_abort
    FROM procrastinate_jobs AS jobs
    WHERE jobs.id = procrastinate_retry_job_v2.job_id
        AND jobs.status IN ('doing', 'failed')
    FOR UPDATE;

    IF current_status = 'doing' AND must_abort THEN
        UPDATE procrastinate_jobs AS jobs
        SET status = 'failed'
        WHERE jobs.id = procrastinate_retry_job_v2.job_id;
    ELSIF FOUND THEN
        -- A job that failed because it was to be aborted still has abort_requested.
        UPDATE procrastinate_jobs AS jobs
        SET status = 'todo',
            abort_requested = false,
            attempts = jobs.attempts + 1,
            scheduled_at = procrastinate_retry_job_v2.retry_at,
            priority = coalesce(procrastinate_retry_job_v2.new_priority, jobs.priority),
            queue_name = coalesce(procrastinate_retry_job_v2.new_queue_name, jobs.queue_name),
            lock = coalesce(procrastinate_retry_job_v2.new_lock, jobs.lock)
        WHERE jobs.id = procrastinate_retry_job_v2.job_id;
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or has an invalid status to retry (job id: %)',
            procrastinate_retry_job_v2.job_id;
    END IF;
END;
$$;
