-- 0012 under load: the new unique constraint takes over an index that is there. While that is built, who defers a
-- tick must lose to it as to the old constraint, without an error; hence the function names none.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN queue_name character varying(128) NOT NULL DEFAULT 'undefined';

DO $$
BEGIN
    EXECUTE pg_catalog.replace(
        pg_catalog.pg_get_functiondef('procrastinate_defer_periodic_job(varchar, varchar, bigint)'::pg_catalog.regprocedure),
        'ON CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key',
        '/* ON CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key */'
    );
END
$$;

-- step concurrent: unique index of ticks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_periodic_defers_unique
    ON procrastinate_periodic_defers (task_name, queue_name, defer_timestamp);

-- step brief: change the unique constraint and the function
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    DROP CONSTRAINT procrastinate_periodic_defers_task_name_defer_timestamp_key,
    ALTER COLUMN queue_name DROP DEFAULT,
    ADD CONSTRAINT procrastinate_periodic_defers_unique
        UNIQUE USING INDEX procrastinate_periodic_defers_unique;
-- rest without ALTER TABLE
