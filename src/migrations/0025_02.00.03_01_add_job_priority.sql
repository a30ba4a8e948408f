-- Jobs get a priority (0 where none is given); the next job is the one of the highest priority, then of the
-- lowest id. Holds ACCESS EXCLUSIVE on procrastinate_jobs for a moment; the table is not rewritten.

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
        ORDER BY jobs.priority DESC, jobs.id
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
