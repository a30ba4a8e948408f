-- Periodic jobs get locks, and a task can be periodic in several queues. Existing records get the
-- queue name 'undefined'; a new record must name its queue.
-- Locks: ACCESS EXCLUSIVE on procrastinate_periodic_defers for one scan of this small table, which
-- builds the new index. No row is rewritten.

ALTER TABLE procrastinate_periodic_defers
    DROP CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key,
    ADD COLUMN queue_name character varying(128) NOT NULL DEFAULT 'undefined';

ALTER TABLE procrastinate_periodic_defers
    ALTER COLUMN queue_name DROP DEFAULT,
    ADD CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, queue_name, defer_timestamp);

DROP FUNCTION procrastinate_defer_periodic_job(character varying, character varying, bigint);

CREATE FUNCTION procrastinate_defer_periodic_job(
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

    IF new_job_id IS NOT NULL THEN
        UPDATE procrastinate_periodic_defers AS defers
        SET job_id = new_job_id
        WHERE defers.id = record_id;

        DELETE FROM procrastinate_periodic_defers AS defers
        WHERE defers.task_name = _task_name
            AND defers.defer_timestamp < _defer_timestamp;
    END IF;

    RETURN new_job_id;
END;
$$;
