-- Adds a function that finishes a job and one that retries a job. The form of
-- procrastinate_finish_job that does both stays for workers that call it.
-- Locks: none on tables. Adds functions, which takes a moment.

CREATE FUNCTION procrastinate_finish_job(
    job_id integer,
    end_status procrastinate_job_status
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_jobs AS jobs
    SET status = procrastinate_finish_job.end_status,
        attempts = jobs.attempts + 1
    WHERE jobs.id = procrastinate_finish_job.job_id;
END;
$$;

CREATE FUNCTION procrastinate_retry_job(
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
    WHERE jobs.id = procrastinate_retry_job.job_id;
END;
$$;
