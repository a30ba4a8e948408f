-- Periodic jobs can be deferred with a priority.
-- Locks: none on tables. Adds a function, which takes a moment.

CREATE FUNCTION procrastinate_defer_periodic_job(
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
    new_job_id bigint;
BEGIN
    INSERT INTO procrastinate_periodic_defers AS defers (task_name, periodic_id, defer_timestamp)
    VALUES (_task_name, _periodic_id, _defer_timestamp)
    ON CONFLICT ON CONSTRAINT procrastinate_periodic_defers_unique DO NOTHING
    RETURNING defers.id INTO record_id;

    IF record_id IS NULL THEN
        RETURN NULL;
    END IF;

    new_job_id := procrastinate_defer_job(
        _queue_name, _task_name, _priority, _lock, _queueing_lock, _args, NULL
    );

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
