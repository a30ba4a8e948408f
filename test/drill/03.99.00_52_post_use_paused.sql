-- Uses the label, and has a default with quotes, commas and parentheses. Adds another label.
ALTER TYPE procrastinate_job_event_type ADD VALUE 'resumed';

CREATE INDEX procrastinate_events_paused_idx
    ON procrastinate_events (job_id) WHERE type OPERATOR(pg_catalog.=) 'paused';

CREATE FUNCTION procrastinate_pauses_v1(
    of_job bigint,
    note character varying DEFAULT 'a, (b) ''c'''::character varying,
    other text DEFAULT ')'
)
    RETURNS bigint
    LANGUAGE sql
    STABLE
AS $$
    SELECT count(*) FROM procrastinate_events WHERE job_id = of_job AND type = 'paused';
$$;
