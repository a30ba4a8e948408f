-- First schema: the job table, the locks of running jobs, the events that triggers write, and the
-- functions by which workers fetch and finish jobs.
-- Locks: none that another session can wait for. All objects are new.
-- Expressions that are stored (index predicates, checks, trigger conditions) name the operators of
-- pg_catalog. Otherwise an operator that another role has created in this schema for our enum
-- types would be preferred.

CREATE TYPE procrastinate_job_status AS ENUM (
    'todo', 'doing', 'succeeded', 'failed'
);

CREATE TYPE procrastinate_job_event_type AS ENUM (
    'deferred', 'started', 'deferred_for_retry', 'failed', 'succeeded', 'cancelled', 'scheduled'
);

CREATE TABLE procrastinate_jobs (
    id bigserial PRIMARY KEY,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    lock text,
    args jsonb NOT NULL DEFAULT '{}',
    status procrastinate_job_status NOT NULL DEFAULT 'todo',
    scheduled_at timestamp with time zone,
    started_at timestamp with time zone,
    attempts integer NOT NULL DEFAULT 0
);

CREATE INDEX procrastinate_jobs_queue_name_idx ON procrastinate_jobs (queue_name);

-- Each row is the lock of a running job.
CREATE TABLE procrastinate_job_locks (
    object text PRIMARY KEY
);

CREATE TABLE procrastinate_events (
    id bigserial PRIMARY KEY,
    job_id integer NOT NULL,
    type procrastinate_job_event_type,
    at timestamp with time zone DEFAULT now(),
    CONSTRAINT procrastinate_events_job_id_fkey
        FOREIGN KEY (job_id) REFERENCES procrastinate_jobs (id) ON DELETE CASCADE
);

-- The index has the same name as the foreign key.
CREATE INDEX procrastinate_events_job_id_fkey ON procrastinate_events (job_id);

CREATE TABLE procrastinate_version (
    id bigserial PRIMARY KEY,
    name text,
    version text,
    applied_at timestamp with time zone DEFAULT now()
);

CREATE FUNCTION procrastinate_fetch_job(target_queue_names character varying[])
RETURNS procrastinate_jobs
LANGUAGE plpgsql
AS $$
DECLARE
    found_job procrastinate_jobs;
BEGIN
    SELECT jobs.*
    INTO found_job
    FROM procrastinate_jobs AS jobs
    WHERE jobs.status = 'todo'
        AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
        AND (
            procrastinate_fetch_job.target_queue_names IS NULL
            OR jobs.queue_name = ANY (procrastinate_fetch_job.target_queue_names)
        )
        AND NOT EXISTS (
            SELECT FROM procrastinate_job_locks AS locks WHERE locks.object = jobs.lock
        )
    ORDER BY jobs.id
    LIMIT 1
    FOR UPDATE OF jobs SKIP LOCKED;

    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF found_job.lock IS NOT NULL THEN
        INSERT INTO procrastinate_job_locks (object)
        VALUES (found_job.lock)
        ON CONFLICT DO NOTHING;

        -- Another session was faster with a job of the same lock.
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    UPDATE procrastinate_jobs AS jobs
    SET status = 'doing',
        started_at = now()
    WHERE jobs.id = found_job.id
    RETURNING jobs.* INTO found_job;

    RETURN found_job;
END;
$$;

CREATE FUNCTION procrastinate_finish_job(
    job_id integer,
    end_status procrastinate_job_status,
    next_scheduled_at timestamp with time zone
)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    held_lock text;
BEGIN
    UPDATE procrastinate_jobs AS jobs
    SET status = procrastinate_finish_job.end_status,
        attempts = jobs.attempts + 1,
        scheduled_at = COALESCE(procrastinate_finish_job.next_scheduled_at, jobs.scheduled_at)
    WHERE jobs.id = procrastinate_finish_job.job_id
    RETURNING jobs.lock INTO held_lock;

    DELETE FROM procrastinate_job_locks AS locks
    WHERE locks.object = held_lock;
END;
$$;

CREATE FUNCTION procrastinate_notify_queue()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('procrastinate_queue#' || NEW.queue_name, NEW.task_name);
    PERFORM pg_notify('procrastinate_any_queue', NEW.task_name);
    RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_status_events_procedure_insert()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    VALUES (NEW.id, 'deferred');
    RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_status_events_procedure_update()
RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    event_type procrastinate_job_event_type;
BEGIN
    event_type := CASE
        WHEN OLD.status = 'todo' AND NEW.status = 'doing' THEN 'started'
        WHEN OLD.status = 'todo' AND NEW.status IN ('failed', 'succeeded') THEN 'cancelled'
        WHEN OLD.status = 'doing' AND NEW.status = 'todo' THEN 'deferred_for_retry'
        WHEN OLD.status = 'doing' AND NEW.status = 'failed' THEN 'failed'
        WHEN OLD.status = 'doing' AND NEW.status = 'succeeded' THEN 'succeeded'
    END;

    IF event_type IS NOT NULL THEN
        INSERT INTO procrastinate_events (job_id, type)
        VALUES (NEW.id, event_type);
    END IF;
    RETURN NEW;
END;
$$;

CREATE FUNCTION procrastinate_trigger_scheduled_events_procedure()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type, at)
    VALUES (NEW.id, 'scheduled', NEW.scheduled_at);
    RETURN NEW;
END;
$$;

CREATE TRIGGER procrastinate_jobs_notify_queue
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_notify_queue();

-- 'doing' is a mistake, which 0006 corrects: a job is deferred when it is inserted as 'todo'.
CREATE TRIGGER procrastinate_trigger_status_events_insert
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status OPERATOR(pg_catalog.=) 'doing')
    EXECUTE FUNCTION procrastinate_trigger_status_events_procedure_insert();

CREATE TRIGGER procrastinate_trigger_status_events_update
    AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_trigger_status_events_procedure_update();

CREATE TRIGGER procrastinate_trigger_scheduled_events
    AFTER INSERT OR UPDATE ON procrastinate_jobs
    FOR EACH ROW WHEN (NEW.scheduled_at IS NOT NULL AND NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_scheduled_events_procedure();
