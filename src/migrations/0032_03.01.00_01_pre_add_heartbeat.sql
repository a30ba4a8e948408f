-- Workers register themselves and have a heartbeat; a job knows the worker that runs it.
-- Holds ACCESS EXCLUSIVE on procrastinate_jobs while an index is built, which is empty: workers wait for one
-- scan of the table (about half a second for four million jobs). The table is not rewritten; the foreign key
-- needs no check, as the new column is NULL everywhere.

CREATE TABLE procrastinate_workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_heartbeat timestamp with time zone NOT NULL DEFAULT now()
);

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON procrastinate_workers (last_heartbeat);

ALTER TABLE procrastinate_jobs
    ADD COLUMN worker_id bigint REFERENCES procrastinate_workers (id) ON DELETE SET NULL;

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs (worker_id)
    WHERE worker_id IS NOT NULL AND status OPERATOR(pg_catalog.=) 'doing';

CREATE FUNCTION procrastinate_register_worker_v1()
RETURNS TABLE (worker_id bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    INSERT INTO procrastinate_workers AS workers DEFAULT VALUES
    RETURNING workers.id;
END;
$$;

CREATE FUNCTION procrastinate_unregister_worker_v1(worker_id bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM procrastinate_workers AS workers
    WHERE workers.id = procrastinate_unregister_worker_v1.worker_id;
END;
$$;

CREATE FUNCTION procrastinate_update_heartbeat_v1(worker_id bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE procrastinate_workers AS workers
    SET last_heartbeat = now()
    WHERE workers.id = procrastinate_update_heartbeat_v1.worker_id;
END;
$$;

CREATE FUNCTION procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat double precision)
RETURNS TABLE (worker_id bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers AS workers
    WHERE workers.last_heartbeat
        < now() - make_interval(secs => procrastinate_prune_stalled_workers_v1.seconds_since_heartbeat)
    RETURNING workers.id;
END;
$$;

CREATE FUNCTION procrastinate_fetch_job_v2(
    target_queue_names character varying[],
    p_worker_id bigint
)
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
                procrastinate_fetch_job_v2.target_queue_names IS NULL
                OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
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
    SET status = 'doing', worker_id = procrastinate_fetch_job_v2.p_worker_id
    FROM candidate
    WHERE jobs.id = candidate.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;
