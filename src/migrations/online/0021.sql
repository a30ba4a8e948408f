-- 0021 under load: the unique constraint takes over an index that is there. While that is built, who defers a
-- tick must lose to it as to the old constraint, without an error; hence the function names none meanwhile.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN periodic_id character varying(128) NOT NULL DEFAULT '';

DO $$
BEGIN
    EXECUTE pg_catalog.replace(
        pg_catalog.pg_get_functiondef('procrastinate_defer_periodic_job(varchar, varchar, varchar, varchar, bigint)'::pg_catalog.regprocedure),
        'ON CONSTRAINT procrastinate_periodic_defers_unique',
        '/* ON CONSTRAINT procrastinate_periodic_defers_unique */'
    );
END
$$;

-- step concurrent: unique index of ticks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_periodic_defers_unique_new
    ON procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp);

-- step brief: change the unique constraint and add the function
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
        pg_catalog.pg_get_functiondef('procrastinate_defer_periodic_job(varchar, varchar, varchar, varchar, bigint)'::pg_catalog.regprocedure),
        '/* ON CONSTRAINT procrastinate_periodic_defers_unique */',
        'ON CONSTRAINT procrastinate_periodic_defers_unique'
    );
END
$$;
-- rest without ALTER TABLE
