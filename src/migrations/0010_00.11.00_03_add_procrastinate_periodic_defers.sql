-- Periodic tasks: a table of the ticks that have been deferred, and a function that defers a tick
-- once. procrastinate_defer_job takes its arguments as jsonb from now on.
-- Locks: SHARE ROW EXCLUSIVE on procrastinate_jobs for a moment, for the foreign key of the new
-- table. Writers wait, readers do not.

CREATE TABLE procrastinate_periodic_defers (
    id bigserial PRIMARY KEY,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint,
    CONSTRAINT procrastinate_periodic_defers_job_id_fkey
        FOREIGN KEY (job_id) REFERENCES procrastinate_jobs (id),
    CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key
        UNIQUE (task_name, defer_timestamp)
);

DROP FUNCTION procrastinate_defer_job(
    character varying, character varying, text, text, json, timestamp with time zone
);

CREATE FUNCTION procrastinate_defer_job(
    queue_name character varying,
    task_name character varying,
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
    INSERT INTO procrastinate_jobs AS jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
    VALUES (
        procrastinate_defer_job.queue_name,
        procrastinate_defer_job.task_name,
        procrastinate_defer_job.lock,
        procrastinate_defer_job.queueing_lock,
        procrastinate_defer_job.args,
        procrastinate_defer_job.scheduled_at
    )
    RETURNING jobs.id INTO new_job_id;

    RETURN new_job_id;
END;
$$;

CREATE FUNCTION procrastinate_defer_periodic_job(
    _queue_name character varying,
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
    INSERT INTO procrastinate_periodic_defers AS defers (task_name, defer_timestamp)
    VALUES (_task_name, _defer_timestamp)
    ON CONFLICT ON CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key DO NOTHING
    RETURNING defers.id INTO record_id;

    IF record_id IS NULL THEN
        RETURN NULL;
    END IF;

    new_job_id := procrastinate_defer_job(
        _queue_name, _task_name, NULL, NULL, jsonb_build_object('timestamp', _defer_timestamp), NULL
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
