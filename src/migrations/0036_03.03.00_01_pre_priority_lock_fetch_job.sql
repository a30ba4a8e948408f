-- Jobs with the same lock run in the order of their priorities; before, in the order of their ids
-- only.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_fetch_job_v2(
    target_queue_names character varying[],
    p_worker_id bigint
)
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
    waiting bigint;
    heads int8multirange;
BEGIN
    -- Candidates are looked at one by one until one can be had, and for each an index tells whether a job of its
    -- lock goes first. After fifty that could go on for long: the second look finds the heads of all locks in one
    -- pass, and takes nothing else for a candidate.
    FOR look IN 1 .. 2 LOOP
        UPDATE procrastinate_jobs AS taken
        SET status = 'doing', worker_id = procrastinate_fetch_job_v2.p_worker_id
        WHERE taken.id = (
            SELECT candidate.id
            FROM (
                SELECT jobs.id, jobs.priority
                FROM procrastinate_jobs AS jobs
                WHERE jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job_v2.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (heads IS NULL OR jobs.lock IS NULL OR heads @> jobs.id)
                ORDER BY jobs.priority DESC, jobs.id
                LIMIT CASE WHEN heads IS NULL THEN 50 END
            ) AS best
            -- LATERAL and FOR UPDATE keep the planner from looking at all of them first.
            CROSS JOIN LATERAL (
                SELECT jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.id = best.id
                    AND jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job_v2.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (
                        jobs.lock IS NULL
                        -- ORDER BY and OFFSET keep the planner on indexes; BETWEEN means =, and has it expect
                        -- a short way there.
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
                            -- One that is doing has been ruled out; the index holds both states.
                            AND NOT EXISTS (
                                SELECT
                                FROM procrastinate_jobs AS earlier
                                WHERE earlier.lock BETWEEN jobs.lock AND jobs.lock
                                    AND earlier.priority = jobs.priority
                                    AND earlier.id < jobs.id
                                    AND earlier.status IN ('todo', 'doing')
                                ORDER BY earlier.id
                                OFFSET 0
                            )
                        )
                    )
                FOR UPDATE SKIP LOCKED
            ) AS candidate
            ORDER BY best.priority DESC, best.id
            LIMIT 1
        )
        RETURNING taken.* INTO found_job;

        IF FOUND OR look = 2 THEN
            RETURN found_job;
        END IF;

        SELECT count(*)
        INTO waiting
        FROM (
            SELECT
            FROM procrastinate_jobs AS jobs
            WHERE jobs.status = 'todo'
                AND (
                    procrastinate_fetch_job_v2.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                )
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            LIMIT 51
        ) AS due;

        IF waiting = 0 THEN
            RETURN found_job;
        ELSIF waiting > 50 THEN
            SELECT COALESCE(range_agg(int8range(head.id, head.id, '[]') ORDER BY head.id), '{}')
            INTO heads
            FROM (
                SELECT DISTINCT ON (jobs.lock COLLATE "C") jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.lock IS NOT NULL
                    AND jobs.status = 'todo'
                ORDER BY jobs.lock COLLATE "C", jobs.priority DESC, jobs.id
            ) AS head;
        END IF;
    END LOOP;
END;
$$;
