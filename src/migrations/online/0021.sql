-- 0021 under load: the unique constraint takes over an index that is there.

-- step brief: add the column
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
ALTER TABLE procrastinate_periodic_defers
    ADD COLUMN periodic_id character varying(128) NOT NULL DEFAULT '';

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
-- rest without ALTER TABLE
