-- Steps of 0021. The unique constraint takes over an index that has been built before. While the
-- index is built, a session that defers the same tick as another must lose to it without an error,
-- by either uniqueness. Therefore the function names no constraint in ON CONFLICT meanwhile.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN periodic_id character varying(128) NOT NULL DEFAULT '';

DO $$
BEGIN
    EXECUTE pg_catalog.replace(
        pg_catalog.pg_get_functiondef(
            'procrastinate_defer_periodic_job(varchar, varchar, varchar, varchar, bigint)'
                ::pg_catalog.regprocedure),
        'ON CONSTRAINT procrastinate_periodic_defers_unique',
        '/* ON CONSTRAINT procrastinate_periodic_defers_unique */'
    );
END
$$;

-- step concurrent: build the unique index of ticks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_periodic_defers_unique_new
    ON procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp);

-- step brief: change the constraint, add the function
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    DROP CONSTRAINT procrastinate_periodic_defers_unique;
ALTER INDEX procrastinate_periodic_defers_unique_new RENAME TO procrastinate_periodic_defers_unique;
ALTER TABLE procrastinate_periodic_defers
    ALTER COLUMN queue_name DROP NOT NULL,
    ADD CONSTRAINT procrastinate_periodic_defers_unique
        UNIQUE USING INDEX procrastinate_periodic_defers_unique;

DO $$
BEGIN
    EXECUTE pg_catalog.replace(
        pg_catalog.pg_get_functiondef(
            'procrastinate_defer_periodic_job(varchar, varchar, varchar, varchar, bigint)'
                ::pg_catalog.regprocedure),
        '/* ON CONSTRAINT procrastinate_periodic_defers_unique */',
        'ON CONSTRAINT procrastinate_periodic_defers_unique'
    );
END
$$;
-- rest without ALTER TABLE
