-- Several jobs can be deferred by one call.
-- Locks: none on tables. Adds a type and functions, which takes a moment.

CREATE TYPE procrastinate_job_to_defer_v1 AS (
    queue_name character varying,
    task_name character varying,
    priority integer,
    lock text,
    queueing_lock text,
    args jsonb,
    scheduled_at timestamp with time zone
);

CREATE FUNCTION procrastinate_defer_jobs_v1(jobs procrastinate_job_to_defer_v1[])
RETURNS bigint[]
LANGUAGE plpgsql
AS $$
DECLARE
    new_ids bigint[];
BEGIN
    WITH added AS (
        INSERT INTO procrastinate_jobs AS target (
            queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at
        )
        SELECT
            wanted.queue_name,
            wanted.task_name,
            wanted.priority,
            wanted.lock,
            wanted.queueing_lock,
            wanted.args,
            wanted.scheduled_at
        FROM unnest(procrastinate_defer_jobs_v1.jobs) WITH ORDINALITY AS wanted (
            queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at, place
        )
        ORDER BY wanted.place
        RETURNING target.id
    )
    SELECT array_agg(added.id ORDER BY added.id) INTO new_ids
    FROM added;

    RETURN new_ids;
END;
$$;

CREATE FUNCTION procrastinate_defer_periodic_job_v2(
    _queue_name character varying,
    _lock character varying,
    _queueing_lock character varying,
    _task_name character varying,
    _priority integer,
    _periodic_id character varying,
    _defer_timestamp bigint,
    _args jsonb
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    record_id bigint;
    new_ids bigint[];
    new_job_id bigint;
BEGIN
    INSERT INTO procrastinate_periodic_defers AS defers (task_name, periodic_id, defer_timestamp)
    VALUES (_task_name, _periodic_id, _defer_timestamp)
    ON CONFLICT ON CONSTRAINT procrastinate_periodic_defers_unique DO NOTHING
    RETURNING defers.id INTO record_id;

    IF record_id IS NULL THEN
        RETURN NULL;
    END IF;

    new_ids := procrastinate_defer_jobs_v1(
        ARRAY[
            ROW(_queue_name, _task_name, _priority, _lock, _queueing_lock, _args, NULL)
        ]::procrastinate_job_to_defer_v1[]
    );
    new_job_id := new_ids[1];

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
