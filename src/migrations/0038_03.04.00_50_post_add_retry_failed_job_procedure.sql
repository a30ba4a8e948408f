-- Retrying a failed job writes the event 'retried'.
-- Locks: none on tables. Replaces the function of a trigger, which takes a moment.

CREATE OR REPLACE FUNCTION procrastinate_trigger_function_status_events_update_v1()
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
                WHEN 'aborted' THEN 'aborted'
            END
        WHEN 'failed' THEN
            CASE NEW.status
                WHEN 'todo' THEN 'retried'
            END
    END;

    IF event_type IS NOT NULL THEN
        INSERT INTO procrastinate_events (job_id, type)
        VALUES (NEW.id, event_type);
    END IF;

    RETURN NULL;
END;
$$;
