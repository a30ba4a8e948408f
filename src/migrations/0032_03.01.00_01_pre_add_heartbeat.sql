-- Workers register and update a heartbeat. A job refers to the worker that runs it.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs while an empty index is built: workers wait for
-- one scan of the table (about 0.5 s for 4 million jobs). The table is not rewritten. The foreign
-- key needs no check, because the new column is NULL in all rows.

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
    waiting bigint;
    heads int8multirange;
BEGIN
    -- Candidates are looked at one by one until one can be had, and for each an index tells whether a job of its
    -- lock goes first. After fifty that could go on for long: the second look finds the heads of all locks in one
    -- pass, and takes nothing else for a candidate.
    FOR look IN 1 .. 2 LOOP
        UPDATE procrastinate_jobs AS taken
        SET status = 'doing', worker_id = procrastinate_fetch_job_v2.p_worker_id
        WHERE taken.id = (
            SELECT candidate.id
            FROM (
                SELECT jobs.id, jobs.priority
                FROM procrastinate_jobs AS jobs
                WHERE jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job_v2.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (heads IS NULL OR jobs.lock IS NULL OR heads @> jobs.id)
                ORDER BY jobs.priority DESC, jobs.id
                LIMIT CASE WHEN heads IS NULL THEN 50 END
            ) AS best
            -- LATERAL and FOR UPDATE keep the planner from looking at all of them first.
            CROSS JOIN LATERAL (
                SELECT jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.id = best.id
                    AND jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job_v2.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (
                        jobs.lock IS NULL
                        -- ORDER BY and OFFSET keep the planner on the index; BETWEEN means =, and has it expect
                        -- a short way there.
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
                FOR UPDATE SKIP LOCKED
            ) AS candidate
            ORDER BY best.priority DESC, best.id
            LIMIT 1
        )
        RETURNING taken.* INTO found_job;

        IF FOUND OR look = 2 THEN
            RETURN found_job;
        END IF;

        SELECT count(*)
        INTO waiting
        FROM (
            SELECT
            FROM procrastinate_jobs AS jobs
            WHERE jobs.status = 'todo'
                AND (
                    procrastinate_fetch_job_v2.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job_v2.target_queue_names)
                )
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            LIMIT 51
        ) AS due;

        IF waiting = 0 THEN
            RETURN found_job;
        ELSIF waiting > 50 THEN
            SELECT COALESCE(range_agg(int8range(head.id, head.id, '[]') ORDER BY head.id), '{}')
            INTO heads
            FROM (
                SELECT min(jobs.id) AS id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.lock IS NOT NULL
                    AND jobs.status IN ('todo', 'doing')
                GROUP BY jobs.lock
            ) AS head;
        END IF;
    END LOOP;
END;
$$;
