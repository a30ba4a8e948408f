-- Jobs of one lock run in the order of their priorities, too, not only of their ids.
-- Takes no table lock: replaces a function, in a moment, and workers that are calling it carry on.

CREATE OR REPLACE FUNCTION procrastinate_fetch_job_v2(
    target_queue_names character varying[],
    p_worker_id bigint
)
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
                procrastinate_fetch_job_v2.target_queue_names IS NULL
                OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
            )
            AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            AND (
                jobs.lock IS NULL
                -- ORDER BY and OFFSET keep the planner on indexes; BETWEEN means = and lowers its estimate,
                -- which would else have the query compiled (JIT), and that takes longer than the query.
                OR (
                    NOT EXISTS (
                        SELECT
                        FROM procrastinate_jobs AS running
                        WHERE running.lock = jobs.lock
                            AND running.status = 'doing'
                    )
                    AND NOT EXISTS (
                        SELECT
                        FROM procrastinate_jobs AS preferred
                        WHERE preferred.lock BETWEEN jobs.lock AND jobs.lock
                            AND preferred.priority > jobs.priority
                            AND preferred.status = 'todo'
                        ORDER BY preferred.priority DESC, preferred.id
                        OFFSET 0
                    )
                    AND NOT EXISTS (
                        SELECT
                        FROM procrastinate_jobs AS earlier
                        WHERE earlier.lock BETWEEN jobs.lock AND jobs.lock
                            AND earlier.priority = jobs.priority
                            AND earlier.id < jobs.id
                            AND earlier.status = 'todo'
                        ORDER BY earlier.id
                        OFFSET 0
                    )
                )
            )
        ORDER BY jobs.priority DESC, jobs.id
        LIMIT 1
        FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing', worker_id = procrastinate_fetch_job_v2.p_worker_id
    FROM candidate
    WHERE jobs.id = candidate.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;
