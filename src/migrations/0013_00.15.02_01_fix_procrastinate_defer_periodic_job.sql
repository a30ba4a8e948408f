-- Deferring a tick deletes the older ticks of the same queue only, and locks them in the order of
-- their ids. Two workers that defer ticks of the same task can then not deadlock.
-- Locks: none on tables. Replaces a function, which takes a moment; calls that are running go on.

CREATE OR REPLACE FUNCTION procrastinate_defer_periodic_job(
    _queue_name character varying,
    _lock character varying,
    _queueing_lock character varying,
    _task_name character varying,
    _defer_timestamp bigint
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    record_id bigint;
    new_job_id bigint;
BEGIN
    INSERT INTO procrastinate_periodic_defers AS defers (task_name, queue_name, defer_timestamp)
    VALUES (_task_name, _queue_name, _defer_timestamp)
    ON CONFLICT ON CONSTRAINT procrastinate_periodic_defers_unique DO NOTHING
    RETURNING defers.id INTO record_id;

    IF record_id IS NULL THEN
        RETURN NULL;
    END IF;

    new_job_id := procrastinate_defer_job(
        _queue_name, _task_name, _lock, _queueing_lock,
        jsonb_build_object('timestamp', _defer_timestamp), NULL
    );

    UPDATE procrastinate_periodic_defers AS defers
    SET job_id = new_job_id
    WHERE defers.id = record_id;

    DELETE FROM procrastinate_periodic_defers AS defers
    USING (
        SELECT old_defers.id
        FROM procrastinate_periodic_defers AS old_defers
        WHERE old_defers.task_name = _task_name
            AND old_defers.queue_name = _queue_name
            AND old_defers.defer_timestamp < _defer_timestamp
        ORDER BY old_defers.id
        FOR UPDATE
    ) AS older
    WHERE defers.id = older.id;

    RETURN new_job_id;
END;
$$;
