-- procrastinate_defer_job: adds a job and returns its id.
-- Adds a function: no lock on any table.

CREATE FUNCTION procrastinate_defer_job(
    queue_name character varying,
    task_name character varying,
    lock text,
    queueing_lock text,
    args json,
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
        procrastinate_defer_job.args::jsonb,
        procrastinate_defer_job.scheduled_at
    )
    RETURNING jobs.id INTO new_job_id;

    RETURN new_job_id;
END;
$$;
