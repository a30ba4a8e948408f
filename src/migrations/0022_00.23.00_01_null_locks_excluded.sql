-- Fetching a job without a lock no longer looks for earlier jobs.
-- Takes no table lock: replaces a function, in a moment.

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.id
        FROM procrastinate_jobs AS jobs
        WHERE jobs.status = 'todo'
            AND (
                procrastinate_fetch_job.target_queue_names IS NULL
                OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
            )
            AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            AND (
                jobs.lock IS NULL
                -- ORDER BY and OFFSET keep the planner on the index; BETWEEN means = and lowers its estimate,
                -- which would else have the query compiled (JIT), and that takes longer than the query.
                OR NOT EXISTS (
                    SELECT
                    FROM procrastinate_jobs AS earlier
                    WHERE earlier.lock BETWEEN jobs.lock AND jobs.lock
                        AND earlier.id < jobs.id
                        AND earlier.status IN ('todo', 'doing')
                    ORDER BY earlier.id
                    OFFSET 0
                )
            )
        ORDER BY jobs.id
        LIMIT 1
        FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing'
    FROM candidate
    WHERE jobs.id = candidate.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;
