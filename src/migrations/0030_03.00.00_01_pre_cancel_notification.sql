-- First half of the schema of release 3.0: adds the versioned functions that release 3.0 calls and
-- keeps those that older releases call, and adds a column that says whether a running job shall
-- abort. Old and new workers can run at the same time.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs while the jobs with status 'aborting' are updated.
-- An index finds them, or one scan if most jobs are waiting. The table is not rewritten.

ALTER TABLE procrastinate_jobs ADD COLUMN abort_requested boolean NOT NULL DEFAULT false;

UPDATE procrastinate_jobs
SET abort_requested = true
WHERE status OPERATOR(pg_catalog.=) 'aborting';

CREATE FUNCTION procrastinate_fetch_job_v1(target_queue_names character varying[])
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
        SET status = 'doing'
        WHERE taken.id = (
            SELECT candidate.id
            FROM (
                SELECT jobs.id, jobs.priority
                FROM procrastinate_jobs AS jobs
                WHERE jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job_v1.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v1.target_queue_names)
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
                        procrastinate_fetch_job_v1.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job_v1.target_queue_names)
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
                    procrastinate_fetch_job_v1.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job_v1.target_queue_names)
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

CREATE FUNCTION procrastinate_finish_job_v1(
    job_id bigint,
    end_status procrastinate_job_status,
    delete_job boolean
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF (procrastinate_finish_job_v1.end_status IN ('succeeded', 'failed', 'aborted')) IS NOT TRUE THEN
        RAISE EXCEPTION 'End status should be either "succeeded", "failed" or "aborted" (job id: %)',
            procrastinate_finish_job_v1.job_id;
    END IF;

    IF procrastinate_finish_job_v1.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_finish_job_v1.job_id
            AND jobs.status IN ('todo', 'doing');
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = procrastinate_finish_job_v1.end_status,
            abort_requested = false,
            attempts = CASE jobs.status WHEN 'doing' THEN jobs.attempts + 1 ELSE jobs.attempts END
        WHERE jobs.id = procrastinate_finish_job_v1.job_id
            AND jobs.status IN ('todo', 'doing');
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" or "todo" status (job id: %)',
            procrastinate_finish_job_v1.job_id;
    END IF;
END;
$$;

CREATE FUNCTION procrastinate_cancel_job_v1(
    job_id bigint,
    abort boolean,
    delete_job boolean
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    done_id bigint;
BEGIN
    IF procrastinate_cancel_job_v1.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_cancel_job_v1.job_id
            AND jobs.status = 'todo'
        RETURNING jobs.id INTO done_id;
    END IF;

    IF done_id IS NOT NULL THEN
        RETURN done_id;
    END IF;

    IF procrastinate_cancel_job_v1.abort THEN
        UPDATE procrastinate_jobs AS jobs
        SET abort_requested = true,
            status = CASE jobs.status WHEN 'todo' THEN 'cancelled' ELSE jobs.status END
        WHERE jobs.id = procrastinate_cancel_job_v1.job_id
            AND jobs.status IN ('todo', 'doing')
        RETURNING jobs.id INTO done_id;
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = 'cancelled'
        WHERE jobs.id = procrastinate_cancel_job_v1.job_id
            AND jobs.status = 'todo'
        RETURNING jobs.id INTO done_id;
    END IF;

    RETURN done_id;
END;
$$;

CREATE FUNCTION procrastinate_retry_job_v1(
    job_id bigint,
    retry_at timestamp with time zone,
    new_priority integer,
    new_queue_name character varying,
    new_lock character varying
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    must_abort boolean;
BEGIN
    -- Waits for a request to abort that is not committed, but not for a job that is not running.
    SELECT jobs.abort_requested INTO must_abort
    FROM procrastinate_jobs AS jobs
    WHERE jobs.id = procrastinate_retry_job_v1.job_id
        AND jobs.status = 'doing'
    FOR UPDATE;

    IF must_abort THEN
        UPDATE procrastinate_jobs AS jobs
        SET status = 'failed'
        WHERE jobs.id = procrastinate_retry_job_v1.job_id;
    ELSIF FOUND THEN
        UPDATE procrastinate_jobs AS jobs
        SET status = 'todo',
            attempts = jobs.attempts + 1,
            scheduled_at = procrastinate_retry_job_v1.retry_at,
            priority = coalesce(procrastinate_retry_job_v1.new_priority, jobs.priority),
            queue_name = coalesce(procrastinate_retry_job_v1.new_queue_name, jobs.queue_name),
            lock = coalesce(procrastinate_retry_job_v1.new_lock, jobs.lock)
        WHERE jobs.id = procrastinate_retry_job_v1.job_id;
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing" status (job id: %)',
            procrastinate_retry_job_v1.job_id;
    END IF;
END;
$$;

CREATE FUNCTION procrastinate_defer_job_v1(
    queue_name character varying,
    task_name character varying,
    priority integer,
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
    INSERT INTO procrastinate_jobs AS jobs (
        queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at
    )
    VALUES (
        procrastinate_defer_job_v1.queue_name,
        procrastinate_defer_job_v1.task_name,
        procrastinate_defer_job_v1.priority,
        procrastinate_defer_job_v1.lock,
        procrastinate_defer_job_v1.queueing_lock,
        procrastinate_defer_job_v1.args,
        procrastinate_defer_job_v1.scheduled_at
    )
    RETURNING jobs.id INTO new_job_id;

    RETURN new_job_id;
END;
$$;

CREATE FUNCTION procrastinate_defer_periodic_job_v1(
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

    new_job_id := procrastinate_defer_job_v1(
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

CREATE FUNCTION procrastinate_notify_queue_job_inserted_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    payload text;
BEGIN
    payload := json_build_object('type', 'job_inserted', 'job_id', NEW.id)::text;
    PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
    PERFORM pg_notify('procrastinate_any_queue_v1', payload);
    RETURN NULL;
END;
$$;

CREATE FUNCTION procrastinate_notify_queue_abort_job_v1()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    payload text;
BEGIN
    payload :=
        pg_catalog.json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text;
    PERFORM pg_catalog.pg_notify(
        'procrastinate_queue_v1#' OPERATOR(pg_catalog.||) NEW.queue_name, payload);
    PERFORM pg_catalog.pg_notify('procrastinate_any_queue_v1', payload);
    RETURN NULL;
END;
$$;

-- Code of older releases that cancels a running job sets only the status.
CREATE FUNCTION procrastinate_sync_abort_requested_with_status_temp()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.status = 'aborting' THEN
        NEW.abort_requested := true;
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_temp
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_temp
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW
    WHEN (
        OLD.abort_requested = false AND NEW.abort_requested = true
        AND NEW.status OPERATOR(pg_catalog.=) 'doing'
    )
    EXECUTE FUNCTION procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_trigger_sync_abort_requested_with_status_temp
    BEFORE UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_sync_abort_requested_with_status_temp();
