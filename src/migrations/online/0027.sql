-- Steps of 0027. The new fetch function also looks up jobs with status 'aborting', which no index
-- contains before 0029, so each fetch would scan all jobs. On the way to 0029 its index is built
-- first.

-- step brief: add the labels
-- rest only ALTER TYPE

-- step concurrent, ahead of 0029: build the index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0029 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=)
        ANY (ARRAY['todo', 'doing', 'aborting']::procrastinate_job_status[]);

-- step brief: add and replace the functions
-- rest without ALTER TYPE
