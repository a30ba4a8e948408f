-- procrastinate_finish_job raises an error for a status that is not final, and for a job that is
-- neither waiting nor running.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_finish_job(
    job_id integer,
    end_status procrastinate_job_status,
    delete_job boolean
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF (procrastinate_finish_job.end_status IN ('succeeded', 'failed')) IS NOT TRUE THEN
        RAISE EXCEPTION 'End status should be either "succeeded" or "failed" (job id: %)',
            procrastinate_finish_job.job_id;
    END IF;

    IF procrastinate_finish_job.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_finish_job.job_id
            AND jobs.status IN ('todo', 'doing');
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = procrastinate_finish_job.end_status,
            attempts = jobs.attempts + CASE WHEN jobs.status = 'doing' THEN 1 ELSE 0 END
        WHERE jobs.id = procrastinate_finish_job.job_id
            AND jobs.status IN ('todo', 'doing');
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" or "todo" status (job id: %)',
            procrastinate_finish_job.job_id;
    END IF;
END;
$$;
