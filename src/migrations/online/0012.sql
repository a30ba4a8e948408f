-- Steps of 0012. The new unique constraint takes over an index that has been built before. While
-- the index is built, a session that defers the same tick as another must lose to it without an
-- error, by either uniqueness. Therefore the function names no constraint in ON CONFLICT
-- meanwhile.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN queue_name character varying(128) NOT NULL DEFAULT 'undefined';

DO $$
BEGIN
    EXECUTE pg_catalog.replace(
        pg_catalog.pg_get_functiondef(
            'procrastinate_defer_periodic_job(varchar, varchar, bigint)'::pg_catalog.regprocedure),
        'ON CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key',
        '/* ON CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key */'
    );
END
$$;

-- step concurrent: build the unique index of ticks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_periodic_defers_unique
    ON procrastinate_periodic_defers (task_name, queue_name, defer_timestamp);

-- step brief: change the constraint and the function
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    DROP CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key,
    ALTER COLUMN queue_name DROP DEFAULT,
    ADD CONSTRAINT procrastinate_periodic_defers_unique
        UNIQUE USING INDEX procrastinate_periodic_defers_unique;
-- rest without ALTER TABLE
