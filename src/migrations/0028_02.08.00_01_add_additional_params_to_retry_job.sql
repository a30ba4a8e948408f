-- A retried job can get another priority, queue or lock.
-- Locks: none on tables. Adds a function, which takes a moment.

CREATE FUNCTION procrastinate_retry_job(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_jobs AS jobs
    SET status = 'todo',
        attempts = jobs.attempts + 1,
        scheduled_at = procrastinate_retry_job.retry_at,
        priority = coalesce(procrastinate_retry_job.new_priority, jobs.priority),
        queue_name = coalesce(procrastinate_retry_job.new_queue_name, jobs.queue_name),
        lock = coalesce(procrastinate_retry_job.new_lock, jobs.lock)
    WHERE jobs.id = procrastinate_retry_job.job_id
        AND jobs.status = 'doing';

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" status (job id: %)',
            procrastinate_retry_job.job_id;
    END IF;
END;
$$;
