-- Adds procrastinate_defer_job, which inserts a job and returns its id.
-- Locks: none on tables. Adds a function, which takes a moment.

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
