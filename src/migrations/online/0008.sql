-- Steps of 0008. An old and a new fetch must not run at the same time, because neither sees what
-- the other locks. The fetch barrier keeps new fetches out, and the table lock waits for old ones.
-- The lock table is dropped once no session can be about to use it.
-- The index by which new fetches look up locks comes with 0020. On the way there it is built
-- first.

-- step concurrent: build the unique index of locks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_lock_idx
    ON procrastinate_jobs (lock) WHERE status OPERATOR(pg_catalog.=) 'doing';

-- step concurrent, ahead of 0020: build the index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0020 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

-- step brief, barrier: replace the functions
-- lock procrastinate_jobs EXCLUSIVE
-- rest without LOCK TABLE, CREATE UNIQUE INDEX, DROP TABLE

-- step brief: drop the lock table
-- lock procrastinate_job_locks ACCESS EXCLUSIVE if there
-- rest only DROP TABLE
