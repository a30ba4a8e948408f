-- A job can be cancelled while it waits, or asked to stop while it runs.
-- Takes no table lock: adds labels to two types and replaces functions, in a moment. Labels that are there
-- already are left alone.
-- The new labels can be used from the next transaction on.

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
BEGIN
    WITH candidate AS (
        SELECT jobs.id
        FROM procrastinate_jobs AS jobs
        WHERE jobs.status = 'todo'
            AND (
                procrastinate_fetch_job.target_queue_names IS NULL
                OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
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
                        AND earlier.status IN ('todo', 'doing', 'aborting')
                    ORDER BY earlier.id
                    OFFSET 0
                )
            )
        ORDER BY jobs.priority DESC, jobs.id
        LIMIT 1
        FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing'
    FROM candidate
    WHERE jobs.id = candidate.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
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
