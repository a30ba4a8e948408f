-- The job's id becomes bigint wherever it was integer: in procrastinate_events, and as an
-- argument.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs and procrastinate_events while
-- procrastinate_events and its indexes are rewritten and its foreign key is checked: workers stand
-- still (2 to 5 s for 1 million events).
-- Both tables are locked first, in the order in which workers lock them. With a weaker lock on
-- procrastinate_jobs, a worker could get a row lock there and wait for procrastinate_events, and
-- the foreign key would deadlock with it.

LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE;
LOCK TABLE procrastinate_events IN ACCESS EXCLUSIVE MODE;

ALTER TABLE procrastinate_events ALTER COLUMN job_id TYPE bigint;

DROP FUNCTION procrastinate_finish_job(integer, procrastinate_job_status, boolean);

CREATE FUNCTION procrastinate_finish_job(
    job_id bigint,
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

DROP FUNCTION procrastinate_retry_job(integer, timestamp with time zone);

CREATE FUNCTION procrastinate_retry_job(
    job_id bigint,
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
