-- procrastinate_fetch_job locks and updates a job in one statement, and returns the updated row.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.id, jobs.lock
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
        FOR UPDATE OF jobs SKIP LOCKED
    ),
    -- Empty where the job has no lock, or where another session was faster.
    taken AS (
        INSERT INTO procrastinate_job_locks AS locks (object)
        SELECT candidate.lock
        FROM candidate
        WHERE candidate.lock IS NOT NULL
        ON CONFLICT DO NOTHING
        RETURNING locks.object
    )
    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing'
    FROM candidate
    WHERE jobs.id = candidate.id
        AND (candidate.lock IS NULL OR EXISTS (SELECT FROM taken))
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;
