-- The body of a fetch function with the fetch barrier: PL/pgSQL around the function's own body.
--
-- {{schema}} name of the schema, quoted as an identifier
-- {{body}}   the function's own body, which is a block
--
-- A fetch locks the barrier's table to the end of its transaction. If it cannot, or if the table
-- says so, the barrier is closed, and the function returns NULL. Without the table, with something
-- else of its name, or without a privilege on it, the function works as if it had no barrier. Names
-- are qualified: the function may run under any search_path.

BEGIN
    BEGIN
        -- No job is returned while columns of procrastinate_jobs change.
        LOCK TABLE {{schema}}.procrastinate_fetch_barrier IN ACCESS SHARE MODE NOWAIT;
        PERFORM FROM {{schema}}.procrastinate_fetch_barrier b
          WHERE b.closed_until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp();
        IF FOUND THEN
            RETURN NULL;
        END IF;
    EXCEPTION
        WHEN lock_not_available THEN
            RETURN NULL;
        WHEN insufficient_privilege OR invalid_schema_name OR undefined_table
             OR wrong_object_type THEN
            NULL;
    END;
{{body}}
END;
