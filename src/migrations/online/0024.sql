-- 0024 under load: a new column takes the old one's place. A trigger fills it for new events, batches for those
-- that are there; index, foreign key and NOT NULL come while everybody works, and only the exchange takes strong
-- locks. From the first step on a check refuses what would part the two columns, such as a trigger that somebody makes
-- amid this; that the new one is empty is refused once the batches are through, since any event may be changed before.
-- Meanwhile each event takes the room of two; the room is used again by later ones.

-- step brief: add a column and the trigger that fills it
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

-- Also for events that come by replication.
ALTER TABLE procrastinate_events ENABLE ALWAYS TRIGGER procrastinate_events_fill_job_id_bigint;

-- step batched procrastinate_events, rewrites: fill the column
UPDATE procrastinate_events
SET job_id_bigint = job_id
WHERE id OPERATOR(pg_catalog.>) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND job_id_bigint IS NULL;

-- step brief: it has to be filled
-- lock procrastinate_events ACCESS EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_bigint_check CHECK (job_id_bigint IS NOT NULL) NOT VALID;

-- step validated: the column is filled
-- lock procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_check;

-- step concurrent: index of the column
CREATE INDEX CONCURRENTLY procrastinate_events_job_id_bigint ON procrastinate_events (job_id_bigint);

-- step brief: add the foreign key
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE, procrastinate_events SHARE ROW EXCLUSIVE
ALTER TABLE procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_bigint_fkey
        FOREIGN KEY (job_id_bigint) REFERENCES procrastinate_jobs (id) ON DELETE CASCADE NOT VALID;

-- step validated: the foreign key holds
-- lock procrastinate_jobs ROW SHARE, procrastinate_events SHARE UPDATE EXCLUSIVE
ALTER TABLE procrastinate_events VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_fkey;

-- step validated: statistics of the column
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

-- From 18 on NOT NULL is a constraint that has a name, after the column's at the time.
DO $$
DECLARE
    name_given name;
BEGIN
    SELECT c.conname
    INTO name_given
    FROM pg_catalog.pg_constraint AS c
    WHERE c.conrelid OPERATOR(pg_catalog.=) 'procrastinate_events'::pg_catalog.regclass::pg_catalog.oid
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
