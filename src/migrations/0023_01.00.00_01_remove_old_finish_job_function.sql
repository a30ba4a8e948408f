-- Drops what releases before 1.0 needed: old forms of two functions, and the queue name of
-- periodic records.
-- Locks: ACCESS EXCLUSIVE on procrastinate_periodic_defers for a moment. No row is rewritten.

DROP FUNCTION procrastinate_finish_job(integer, procrastinate_job_status, timestamp with time zone);
DROP FUNCTION procrastinate_finish_job(integer, procrastinate_job_status);
DROP FUNCTION procrastinate_defer_periodic_job(
    character varying, character varying, character varying, character varying, bigint
);

ALTER TABLE procrastinate_periodic_defers DROP COLUMN queue_name;

CREATE FUNCTION procrastinate_finish_job(
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
            attempts = CASE jobs.status WHEN 'doing' THEN jobs.attempts + 1 ELSE jobs.attempts END
        WHERE jobs.id = procrastinate_finish_job.job_id
            AND jobs.status IN ('todo', 'doing');
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" or "todo" status (job id: %)',
            procrastinate_finish_job.job_id;
    END IF;
END;
$$;
