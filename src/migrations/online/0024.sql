-- Steps of 0024. A new column replaces the old one. A trigger fills it for new events, and batches
-- fill it for existing ones. The index, the foreign key and NOT NULL are added while clients work;
-- only the exchange of the columns takes strong locks.
-- From the first step on, a check refuses rows in which the two columns differ, for example
-- because of a trigger that a user has created meanwhile. A second check refuses rows whose new
-- column is NULL. It comes after the batches, because until then clients may change events that
-- are not filled yet.
-- Each event takes twice its space meanwhile. Later events use this space again.

-- step brief: add a column and a trigger to fill it
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD COLUMN job_id_bigint bigint,
    ADD CONSTRAINT procrastinate_events_job_id_bigint_same
        CHECK (job_id_bigint OPERATOR(pg_catalog.=) job_id) NOT VALID;

CREATE FUNCTION procrastinate_events_fill_job_id_bigint()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.job_id_bigint := NEW.job_id;
    RETURN NEW;
END;
$$;

CREATE TRIGGER procrastinate_events_fill_job_id_bigint
    BEFORE INSERT OR UPDATE OF job_id ON procrastinate_events
    FOR EACH ROW
    EXECUTE FUNCTION procrastinate_events_fill_job_id_bigint();

-- Logical replication applies events with session_replication_role = replica: the trigger must
-- fire for them as well.
ALTER TABLE procrastinate_events ENABLE ALWAYS TRIGGER procrastinate_events_fill_job_id_bigint;

-- step batched procrastinate_events, rewrites: fill the column
UPDATE procrastinate_events
SET job_id_bigint = job_id
WHERE id OPERATOR(pg_catalog.>=) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND job_id_bigint IS NULL;

-- step brief: add a check that the column is filled
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_bigint_check
        CHECK (job_id_bigint IS NOT NULL) NOT VALID;

-- step validated: validate the check
-- lock procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_check;

-- step concurrent: build the index of the column
CREATE INDEX CONCURRENTLY procrastinate_events_job_id_bigint
    ON procrastinate_events (job_id_bigint);

-- step brief: add the foreign key
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events SHARE ROW EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_bigint_fkey
        FOREIGN KEY (job_id_bigint) REFERENCES procrastinate_jobs (id) ON DELETE CASCADE NOT VALID;

-- step validated: validate the foreign key
-- lock procrastinate_jobs ROW SHARE, procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_fkey;

-- step validated: analyze the column
-- lock procrastinate_events SHARE UPDATE EXCLUSIVE
ANALYZE procrastinate_events (job_id_bigint);

-- step brief: exchange the columns and the functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE, procrastinate_events ACCESS EXCLUSIVE
DROP TRIGGER procrastinate_events_fill_job_id_bigint ON procrastinate_events;
DROP FUNCTION procrastinate_events_fill_job_id_bigint();
ALTER TABLE procrastinate_events
    ALTER COLUMN job_id_bigint SET NOT NULL;
ALTER TABLE procrastinate_events
    DROP CONSTRAINT procrastinate_events_job_id_bigint_check,
    DROP CONSTRAINT procrastinate_events_job_id_bigint_same,
    DROP COLUMN job_id;
ALTER TABLE procrastinate_events RENAME COLUMN job_id_bigint TO job_id;
ALTER TABLE procrastinate_events
    RENAME CONSTRAINT procrastinate_events_job_id_bigint_fkey TO procrastinate_events_job_id_fkey;
ALTER INDEX procrastinate_events_job_id_bigint RENAME TO procrastinate_events_job_id_fkey;

-- From PostgreSQL 18 on, NOT NULL is a constraint. Its name contains the column's name at the time
-- of its creation.
DO $$
DECLARE
    name_given name;
BEGIN
    SELECT c.conname
    INTO name_given
    FROM pg_catalog.pg_constraint AS c
    WHERE c.conrelid OPERATOR(pg_catalog.=)
            'procrastinate_events'::pg_catalog.regclass::pg_catalog.oid
        AND c.contype OPERATOR(pg_catalog.=) 'n'
        AND c.conname OPERATOR(pg_catalog.~~) '%_bigint_%';

    IF FOUND THEN
        EXECUTE pg_catalog.format(
            'ALTER TABLE procrastinate_events RENAME CONSTRAINT %I TO procrastinate_events_job_id_not_null',
            name_given
        );
    END IF;
END
$$;
-- rest without LOCK TABLE, ALTER TABLE
