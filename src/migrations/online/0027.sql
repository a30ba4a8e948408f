-- 0027 under load: the function looks for jobs that are being aborted, too, which no index holds before 0029: a
-- look at every job, for each fetch. On the way there the index comes first.

-- step brief: add the labels
-- rest only ALTER TYPE

-- step concurrent, ahead of 0029: index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0029 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing', 'aborting']::procrastinate_job_status[]);

-- step brief: add and replace the functions
-- rest without ALTER TYPE
