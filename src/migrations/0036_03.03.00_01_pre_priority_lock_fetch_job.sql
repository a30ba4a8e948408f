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
                -- The last two are asked in order of an index, so that the planner has no reason to scan the
                -- table; the empty string keeps it from reading the other index from end to end.
                OR (
                    NOT EXISTS (
                        SELECT
                        FROM procrastinate_jobs AS running
                        WHERE running.lock = jobs.lock
                            AND running.status = 'doing'
                    )
                    AND (
                        SELECT preferred.id
                        FROM procrastinate_jobs AS preferred
                        WHERE preferred.lock || '' = jobs.lock
                            AND preferred.priority > jobs.priority
                            AND preferred.status = 'todo'
                        ORDER BY preferred.priority DESC, preferred.id
                        LIMIT 1
                    ) IS NULL
                    AND (
                        SELECT earlier.id
                        FROM procrastinate_jobs AS earlier
                        WHERE earlier.lock = jobs.lock
                            AND earlier.priority = jobs.priority
                            AND earlier.id < jobs.id
                            AND earlier.status = 'todo'
                        ORDER BY earlier.id
                        LIMIT 1
                    ) IS NULL
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
