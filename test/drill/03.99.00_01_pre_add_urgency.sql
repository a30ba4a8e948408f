-- A made-up migration, written the way a new release may write it: lower case, tabs, several
-- statements a line, comments with semicolons; no line of it is known to any script.
create type procrastinate_job_urgency as enum ('low', 'normal', 'high');

/* Every job has an urgency; /* nested; */ those that are there are normal. */
alter table procrastinate_jobs
	add column urgency procrastinate_job_urgency not null default 'normal';

CREATE TYPE procrastinate_urgent_job_v1 AS (
    job_id bigint,
    urgency procrastinate_job_urgency
);

CREATE FUNCTION procrastinate_urgent_jobs_v1(at_least procrastinate_job_urgency DEFAULT 'high')
    RETURNS SETOF procrastinate_urgent_job_v1
    LANGUAGE sql
    STABLE
AS $BODY$
    SELECT jobs.id, jobs.urgency
    FROM procrastinate_jobs AS jobs
    WHERE jobs.status = 'todo' AND jobs.urgency >= at_least
    ORDER BY jobs.urgency DESC, jobs.id;
$BODY$;

CREATE FUNCTION procrastinate_fetch_job_v3(
    target_queue_names character varying[],
    p_worker_id bigint
)
    RETURNS procrastinate_jobs
    LANGUAGE plpgsql
AS $$
DECLARE
    found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                (
                    jobs.lock IS NULL OR
                    NOT EXISTS (
                        SELECT 1
                            FROM procrastinate_jobs AS other_jobs
                            WHERE
                                other_jobs.lock = jobs.lock
                                AND (other_jobs.status = 'doing'
                                    OR (other_jobs.status = 'todo' AND (
                                        other_jobs.urgency > jobs.urgency
                                        OR (other_jobs.urgency = jobs.urgency
                                            AND other_jobs.priority > jobs.priority)
                                        OR (other_jobs.urgency = jobs.urgency
                                            AND other_jobs.priority = jobs.priority
                                            AND other_jobs.id < jobs.id))))
                    )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.urgency DESC, jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

    RETURN found_jobs;
END;
$$;
