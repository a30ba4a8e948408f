-- 0008 under load: no fetch of the old kind is at work when the first of the new kind is, since each would take
-- the other's locks for free: the door keeps the new ones out, and the lock waits for the old ones. The table of
-- locks goes when nobody can be on the way to it any more. The index by which the new ones look for locks comes in
-- 0020 only: on the way there it is built first.

-- step concurrent: unique index of locks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_lock_idx
    ON procrastinate_jobs (lock) WHERE status OPERATOR(pg_catalog.=) 'doing';

-- step concurrent, ahead of 0020: index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0020 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

-- step brief, barrier: replace the functions
-- lock procrastinate_jobs EXCLUSIVE
-- rest without LOCK TABLE, CREATE UNIQUE INDEX, DROP TABLE

-- step brief: drop the table of locks
-- lock procrastinate_job_locks ACCESS EXCLUSIVE if there
-- rest only DROP TABLE
