-- The body of a fetch function with the fetch barrier: PL/pgSQL around the function's own body.
--
-- {{schema}} OID of the schema as an integer, which is negative from 2^31 on, as advisory lock
--    functions take it
-- {{key}} key of the fetch barrier's advisory lock
-- {{body}} the function's own body, which is a block
--
-- A fetch shares the advisory lock to the end of its transaction. If it cannot, the barrier is
-- closed, and the function returns NULL. Any role can take an advisory lock, but only a role that
-- could change the table closes the barrier with it. If no session holds the lock any more, the
-- function tries again. Names are qualified: the function may run under any search_path.

DECLARE
    barrier CONSTANT integer := {{schema}};
    is_closed_by_owner boolean;
BEGIN
    -- No job is returned while columns of procrastinate_jobs change.
    WHILE NOT pg_catalog.pg_try_advisory_xact_lock_shared({{key}}, barrier) LOOP
        is_closed_by_owner := (
            SELECT pg_catalog.bool_or(
                coalesce(pg_catalog.pg_has_role(a.usesysid, c.relowner, 'MEMBER'), false))
            FROM pg_catalog.pg_lock_status() AS l
            JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) l.database
            LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) l.objid
                AND c.relname OPERATOR(pg_catalog.=) 'procrastinate_jobs'
            LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS a
                ON a.pid OPERATOR(pg_catalog.=) l.pid
            WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'
                AND l.classid OPERATOR(pg_catalog.=) {{key}}
                AND l.objid OPERATOR(pg_catalog.=)
                    (barrier::bigint OPERATOR(pg_catalog.&) 4294967295)::pg_catalog.oid
                AND l.objsubid OPERATOR(pg_catalog.=) 2
                AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
                AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
        );
        IF is_closed_by_owner THEN
            RETURN NULL;
        END IF;
        EXIT WHEN NOT is_closed_by_owner;
    END LOOP;
{{body}}
END;
