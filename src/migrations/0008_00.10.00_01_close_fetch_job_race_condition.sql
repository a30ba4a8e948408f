-- Locks without a lock table. A job waits while an earlier job with its lock waits or runs, and a
-- unique index prevents two jobs with the same lock from running at once. Fails if two running
-- jobs have the same lock.
-- Locks: EXCLUSIVE on procrastinate_jobs for one scan of the table, which builds the index:
-- writers wait, readers do not. Then ACCESS EXCLUSIVE on procrastinate_job_locks, if it exists,
-- for a moment.
-- SHARE would suffice for the index, but a deadlock could follow: a running
-- procrastinate_fetch_job would get its row lock, lock procrastinate_job_locks, and then wait for
-- its own update. EXCLUSIVE makes it wait before that.
-- A call of the old functions that waits for this migration fails afterwards, because the lock
-- table is gone.

LOCK TABLE procrastinate_jobs IN EXCLUSIVE MODE;

CREATE UNIQUE INDEX procrastinate_jobs_lock_idx
    ON procrastinate_jobs (lock) WHERE status OPERATOR(pg_catalog.=) 'doing';

DROP TABLE IF EXISTS procrastinate_job_locks;

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
    waiting bigint;
    heads int8multirange;
BEGIN
    -- Candidates are looked at one by one until one can be had, and for each all jobs of lower ids are searched
    -- for one of its lock; no index is made for that. So after five the second look finds the heads of all locks
    -- in one pass, and takes nothing else for a candidate.
    FOR look IN 1 .. 2 LOOP
        UPDATE procrastinate_jobs AS taken
        SET status = 'doing'
        WHERE taken.id = (
            SELECT candidate.id
            FROM (
                SELECT jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (heads IS NULL OR jobs.lock IS NULL OR heads @> jobs.id)
                ORDER BY jobs.id
                LIMIT CASE WHEN heads IS NULL THEN 5 END
            ) AS best
            -- LATERAL and FOR UPDATE keep the planner from looking at all of them first.
            CROSS JOIN LATERAL (
                SELECT jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.id = best.id
                    AND jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (
                        jobs.lock IS NULL
                        -- ORDER BY and OFFSET keep the planner on the index; BETWEEN means =, and has it expect
                        -- a short way there.
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
                FOR UPDATE SKIP LOCKED
            ) AS candidate
            ORDER BY best.id
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
                    procrastinate_fetch_job.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
                )
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            LIMIT 6
        ) AS due;

        IF waiting = 0 THEN
            RETURN found_job;
        ELSIF waiting > 5 THEN
            SELECT COALESCE(range_agg(int8range(head.id, head.id, '[]') ORDER BY head.id), '{}')
            INTO heads
            FROM (
                SELECT min(jobs.id) AS id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.lock IS NOT NULL
                    AND jobs.status IN ('todo', 'doing')
                GROUP BY jobs.lock
            ) AS head;
        END IF;
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_finish_job(
    job_id integer,
    end_status procrastinate_job_status,
    next_scheduled_at timestamp with time zone
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_jobs AS jobs
    SET status = procrastinate_finish_job.end_status,
        attempts = jobs.attempts + 1,
        scheduled_at = COALESCE(procrastinate_finish_job.next_scheduled_at, jobs.scheduled_at)
    WHERE jobs.id = procrastinate_finish_job.job_id;
END;
$$;
