-- The schema of revision 0038 in one go, for a schema that holds nothing of Procrastinate yet. The catalog is
-- the same as after the 38 migrations, the order of the columns included. embed.awk puts the functions in,
-- each from the migration that wrote it last.
-- Everything is new, so no lock is taken that anybody else could wait for.
-- What is compared when the schema is changed, or stored for later, names the server's own operator: one of
-- another role in this schema, made for our enum type, would be preferred to it.

CREATE TYPE procrastinate_job_status AS ENUM (
    'todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted'
);

CREATE TYPE procrastinate_job_event_type AS ENUM (
    'deferred', 'started', 'deferred_for_retry', 'failed', 'succeeded', 'cancelled', 'abort_requested',
    'aborted', 'scheduled', 'retried'
);

CREATE TYPE procrastinate_job_to_defer_v1 AS (
    queue_name character varying,
    task_name character varying,
    priority integer,
    lock text,
    queueing_lock text,
    args jsonb,
    scheduled_at timestamp with time zone
);

CREATE TABLE procrastinate_workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_heartbeat timestamp with time zone NOT NULL DEFAULT now()
);

CREATE TABLE procrastinate_jobs (
    id bigserial PRIMARY KEY,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    lock text,
    args jsonb NOT NULL DEFAULT '{}',
    status procrastinate_job_status NOT NULL DEFAULT 'todo',
    scheduled_at timestamp with time zone,
    attempts integer NOT NULL DEFAULT 0,
    queueing_lock text,
    priority integer NOT NULL DEFAULT 0,
    abort_requested boolean NOT NULL DEFAULT false,
    worker_id bigint REFERENCES procrastinate_workers (id) ON DELETE SET NULL,
    CONSTRAINT check_not_todo_abort_requested
        CHECK (NOT (status OPERATOR(pg_catalog.=) 'todo' AND abort_requested = true))
);

CREATE TABLE procrastinate_events (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES procrastinate_jobs (id) ON DELETE CASCADE,
    type procrastinate_job_event_type,
    at timestamp with time zone DEFAULT now()
);

CREATE TABLE procrastinate_periodic_defers (
    id bigserial PRIMARY KEY,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint REFERENCES procrastinate_jobs (id),
    periodic_id character varying(128) NOT NULL DEFAULT '',
    CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp)
);

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON procrastinate_workers (last_heartbeat);

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON procrastinate_jobs (queueing_lock)
    WHERE status OPERATOR(pg_catalog.=) 'todo';

CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON procrastinate_jobs (lock)
    WHERE status OPERATOR(pg_catalog.=) 'doing';

CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON procrastinate_jobs (queue_name);

CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

CREATE INDEX procrastinate_jobs_priority_idx_v1 ON procrastinate_jobs (priority DESC, id)
    WHERE status OPERATOR(pg_catalog.=) 'todo';

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs (worker_id)
    WHERE worker_id IS NOT NULL AND status OPERATOR(pg_catalog.=) 'doing';

CREATE INDEX procrastinate_events_job_id_fkey_v1 ON procrastinate_events (job_id);

CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON procrastinate_periodic_defers (job_id);

-- include 0036 procrastinate_fetch_job_v2

-- include 0030 procrastinate_finish_job_v1

-- include 0030 procrastinate_cancel_job_v1

-- include 0030 procrastinate_retry_job_v1

-- include 0037 procrastinate_retry_job_v2

-- include 0034 procrastinate_defer_jobs_v1

-- include 0034 procrastinate_defer_periodic_job_v2

-- include 0032 procrastinate_register_worker_v1

-- include 0032 procrastinate_unregister_worker_v1

-- include 0032 procrastinate_update_heartbeat_v1

-- include 0032 procrastinate_prune_stalled_workers_v1

-- include 0030 procrastinate_notify_queue_job_inserted_v1

-- include 0030 procrastinate_notify_queue_abort_job_v1

-- include 0031 procrastinate_trigger_function_status_events_insert_v1

-- include 0038 procrastinate_trigger_function_status_events_update_v1

-- include 0031 procrastinate_trigger_function_scheduled_events_v1

-- include 0031 procrastinate_trigger_abort_requested_events_procedure_v1

-- include 0031 procrastinate_unlink_periodic_defers_v1

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_notify_queue_job_inserted_v1();

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW
    WHEN (
        OLD.abort_requested = false AND NEW.abort_requested = true
        AND NEW.status OPERATOR(pg_catalog.=) 'doing'
    )
    EXECUTE FUNCTION procrastinate_notify_queue_abort_job_v1();

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1
    AFTER INSERT ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_function_status_events_insert_v1();

CREATE TRIGGER procrastinate_trigger_status_events_update_v1
    AFTER UPDATE OF status ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_trigger_function_status_events_update_v1();

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1
    AFTER INSERT OR UPDATE ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.scheduled_at IS NOT NULL AND NEW.status OPERATOR(pg_catalog.=) 'todo')
    EXECUTE FUNCTION procrastinate_trigger_function_scheduled_events_v1();

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1
    AFTER UPDATE OF abort_requested ON procrastinate_jobs
    FOR EACH ROW
    WHEN (NEW.abort_requested = true)
    EXECUTE FUNCTION procrastinate_trigger_abort_requested_events_procedure_v1();

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1
    BEFORE DELETE ON procrastinate_jobs
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_unlink_periodic_defers_v1();
