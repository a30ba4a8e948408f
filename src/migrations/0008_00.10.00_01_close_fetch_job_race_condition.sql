-- Locks without a table of locks: a job waits while an earlier one of its lock waits or runs, and a unique
-- index keeps two jobs of a lock from running at once. Fails where two running jobs hold the same lock.
-- EXCLUSIVE on procrastinate_jobs for the time of one scan (the index): writers wait, readers do not. Then
-- ACCESS EXCLUSIVE on procrastinate_job_locks, if it is still there, for the moment of its end.
-- SHARE would do for the index, but a worker that is in procrastinate_fetch_job would pass it with its row
-- lock, hold procrastinate_job_locks and then wait for its update: a deadlock. EXCLUSIVE keeps it out.
-- A call of the old functions that waits for this migration fails after it, for want of the dropped table.

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
BEGIN
    WITH candidate AS (
        SELECT jobs.id
        FROM procrastinate_jobs AS jobs
        WHERE jobs.status = 'todo'
            AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            AND (
                procrastinate_fetch_job.target_queue_names IS NULL
                OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
            )
            AND NOT EXISTS (
                SELECT
                FROM procrastinate_jobs AS earlier
                WHERE earlier.lock = jobs.lock
                    AND earlier.id < jobs.id
                    AND earlier.status IN ('todo', 'doing')
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
