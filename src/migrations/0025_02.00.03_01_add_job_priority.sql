-- Jobs get a priority, 0 by default. Workers fetch the job with the highest priority, then the one
-- with the lowest id.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs for a moment. No row is rewritten.

ALTER TABLE procrastinate_jobs ADD COLUMN priority integer NOT NULL DEFAULT 0;

CREATE FUNCTION procrastinate_defer_job(
    queue_name character varying,
    task_name character varying,
    priority integer,
    lock text,
    queueing_lock text,
    args jsonb,
    scheduled_at timestamp with time zone
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    new_job_id bigint;
BEGIN
    INSERT INTO procrastinate_jobs AS jobs (
        queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at
    )
    VALUES (
        procrastinate_defer_job.queue_name,
        procrastinate_defer_job.task_name,
        procrastinate_defer_job.priority,
        procrastinate_defer_job.lock,
        procrastinate_defer_job.queueing_lock,
        procrastinate_defer_job.args,
        procrastinate_defer_job.scheduled_at
    )
    RETURNING jobs.id INTO new_job_id;

    RETURN new_job_id;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_defer_periodic_job(
    _queue_name character varying,
    _lock character varying,
    _queueing_lock character varying,
    _task_name character varying,
    _periodic_id character varying,
    _defer_timestamp bigint,
    _args jsonb
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    record_id bigint;
    new_job_id bigint;
BEGIN
    INSERT INTO procrastinate_periodic_defers AS defers (task_name, periodic_id, defer_timestamp)
    VALUES (_task_name, _periodic_id, _defer_timestamp)
    ON CONFLICT ON CONSTRAINT procrastinate_periodic_defers_unique DO NOTHING
    RETURNING defers.id INTO record_id;

    IF record_id IS NULL THEN
        RETURN NULL;
    END IF;

    new_job_id := procrastinate_defer_job(_queue_name, _task_name, 0, _lock, _queueing_lock, _args, NULL);

    UPDATE procrastinate_periodic_defers AS defers
    SET job_id = new_job_id
    WHERE defers.id = record_id;

    -- Locked in the order of the ids, so that two callers cannot deadlock.
    WITH older AS (
        SELECT defers.id
        FROM procrastinate_periodic_defers AS defers
        WHERE defers.task_name = _task_name
            AND defers.periodic_id = _periodic_id
            AND defers.defer_timestamp < _defer_timestamp
        ORDER BY defers.id
        FOR UPDATE
    )
    DELETE FROM procrastinate_periodic_defers AS defers
    USING older
    WHERE defers.id = older.id;

    RETURN new_job_id;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
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
        SET status = 'doing'
        WHERE taken.id = (
            SELECT candidate.id
            FROM (
                SELECT jobs.id, jobs.priority
                FROM procrastinate_jobs AS jobs
                WHERE jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
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
                    procrastinate_fetch_job.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
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
