-- 0012 under load: the new unique constraint takes over an index that is there.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN queue_name character varying(128) NOT NULL DEFAULT 'undefined';

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
