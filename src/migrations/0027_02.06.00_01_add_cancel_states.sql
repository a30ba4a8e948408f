-- A waiting job can be cancelled, and a running job can be asked to abort.
-- Locks: none on tables. Adds labels to two enum types and replaces functions, which takes a
-- moment. A label that exists is left alone.
-- The new labels can be used in the next transaction, not in this one.

ALTER TYPE procrastinate_job_status ADD VALUE IF NOT EXISTS 'cancelled' AFTER 'failed';
ALTER TYPE procrastinate_job_status ADD VALUE IF NOT EXISTS 'aborting' AFTER 'cancelled';
ALTER TYPE procrastinate_job_status ADD VALUE IF NOT EXISTS 'aborted' AFTER 'aborting';

ALTER TYPE procrastinate_job_event_type ADD VALUE IF NOT EXISTS 'abort_requested' BEFORE 'scheduled';
ALTER TYPE procrastinate_job_event_type ADD VALUE IF NOT EXISTS 'aborted' BEFORE 'scheduled';

CREATE OR REPLACE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
    waiting bigint;
    heads int8multirange;
BEGIN
    -- Candidates are looked at one by one until one can be had, and for each all jobs of lower ids are searched
    -- for one of its lock; no index is made for that. So after five the second look finds the heads of all locks
    -- in one pass, and takes nothing else for a candidate.
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
                        procrastinate_fetch_job.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
                    )
                    AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
                    AND (heads IS NULL OR jobs.lock IS NULL OR heads @> jobs.id)
                ORDER BY jobs.priority DESC, jobs.id
                LIMIT CASE WHEN heads IS NULL THEN 5 END
            ) AS best
            -- LATERAL and FOR UPDATE keep the planner from looking at all of them first.
            CROSS JOIN LATERAL (
                SELECT jobs.id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.id = best.id
                    AND jobs.status = 'todo'
                    AND (
                        procrastinate_fetch_job.target_queue_names IS NULL
                        OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
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
                                AND earlier.status IN ('todo', 'doing', 'aborting')
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
                    procrastinate_fetch_job.target_queue_names IS NULL
                    OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
                )
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            LIMIT 6
        ) AS due;

        IF waiting = 0 THEN
            RETURN found_job;
        ELSIF waiting > 5 THEN
            SELECT COALESCE(range_agg(int8range(head.id, head.id, '[]') ORDER BY head.id), '{}')
            INTO heads
            FROM (
                SELECT min(jobs.id) AS id
                FROM procrastinate_jobs AS jobs
                WHERE jobs.lock IS NOT NULL
                    AND jobs.status IN ('todo', 'doing', 'aborting')
                GROUP BY jobs.lock
            ) AS head;
        END IF;
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_finish_job(
    job_id bigint,
    end_status procrastinate_job_status,
    delete_job boolean
)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF (procrastinate_finish_job.end_status IN ('succeeded', 'failed', 'aborted')) IS NOT TRUE THEN
        RAISE EXCEPTION 'End status should be either "succeeded", "failed" or "aborted" (job id: %)',
            procrastinate_finish_job.job_id;
    END IF;

    IF procrastinate_finish_job.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_finish_job.job_id
            AND jobs.status IN ('todo', 'doing', 'aborting');
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = procrastinate_finish_job.end_status,
            attempts = CASE jobs.status WHEN 'doing' THEN jobs.attempts + 1 ELSE jobs.attempts END
        WHERE jobs.id = procrastinate_finish_job.job_id
            AND jobs.status IN ('todo', 'doing', 'aborting');
    END IF;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'Job was not found or not in "doing", "todo" or "aborting" status (job id: %)',
            procrastinate_finish_job.job_id;
    END IF;
END;
$$;

CREATE FUNCTION procrastinate_cancel_job(
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
    IF procrastinate_cancel_job.delete_job THEN
        DELETE FROM procrastinate_jobs AS jobs
        WHERE jobs.id = procrastinate_cancel_job.job_id
            AND jobs.status = 'todo'
        RETURNING jobs.id INTO done_id;
    END IF;

    IF done_id IS NOT NULL THEN
        RETURN done_id;
    END IF;

    IF procrastinate_cancel_job.abort THEN
        UPDATE procrastinate_jobs AS jobs
        SET status = CASE jobs.status
                WHEN 'todo' THEN 'cancelled'::procrastinate_job_status
                ELSE 'aborting'::procrastinate_job_status
            END
        WHERE jobs.id = procrastinate_cancel_job.job_id
            AND jobs.status IN ('todo', 'doing')
        RETURNING jobs.id INTO done_id;
    ELSE
        UPDATE procrastinate_jobs AS jobs
        SET status = 'cancelled'
        WHERE jobs.id = procrastinate_cancel_job.job_id
            AND jobs.status = 'todo'
        RETURNING jobs.id INTO done_id;
    END IF;

    RETURN done_id;
END;
$$;

CREATE OR REPLACE FUNCTION procrastinate_trigger_status_events_procedure_update()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    event_type procrastinate_job_event_type;
BEGIN
    event_type := CASE OLD.status
        WHEN 'todo' THEN
            CASE
                WHEN NEW.status = 'doing' THEN 'started'
                WHEN NEW.status IN ('succeeded', 'failed', 'cancelled') THEN 'cancelled'
            END
        WHEN 'doing' THEN
            CASE NEW.status
                WHEN 'todo' THEN 'deferred_for_retry'
                WHEN 'succeeded' THEN 'succeeded'
                WHEN 'failed' THEN 'failed'
                WHEN 'aborting' THEN 'abort_requested'
                WHEN 'aborted' THEN 'aborted'
            END
        WHEN 'aborting' THEN
            CASE NEW.status
                WHEN 'aborted' THEN 'aborted'
            END
    END;

    IF event_type IS NOT NULL THEN
        INSERT INTO procrastinate_events (job_id, type)
        VALUES (NEW.id, event_type);
    END IF;

    RETURN NULL;
END;
$$;
