-- procrastinate_retry_job raises an error for a job that is not running.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_retry_job(
    job_id integer,
    retry_at timestamp with time zone
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_jobs AS jobs
    SET status = 'todo',
        attempts = jobs.attempts + 1,
        scheduled_at = procrastinate_retry_job.retry_at
    WHERE jobs.id = procrastinate_retry_job.job_id
        AND jobs.status = 'doing';

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" status (job id: %)',
            procrastinate_retry_job.job_id;
    END IF;
END;
$$;
