-- Adds a form of procrastinate_finish_job that can delete the finished job.
-- Locks: none on tables. Adds a function, which takes a moment.

CREATE FUNCTION procrastinate_finish_job(
    job_id integer,
    end_status procrastinate_job_status,
    delete_job boolean
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF procrastinate_finish_job.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_finish_job.job_id;
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = procrastinate_finish_job.end_status,
            attempts = jobs.attempts + 1
        WHERE jobs.id = procrastinate_finish_job.job_id;
    END IF;
END;
$$;
