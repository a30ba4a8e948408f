-- Uses the label in the body of a function alone. The server checks such a body when it creates the
-- function, unless check_function_bodies is off.
CREATE FUNCTION procrastinate_resumptions_v1(of_job bigint)
    RETURNS bigint
    LANGUAGE sql
    STABLE
AS $$
    SELECT count(*) FROM procrastinate_events WHERE job_id = of_job AND type = 'resumed';
$$;
