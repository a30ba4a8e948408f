-- Steps of 0007. No code writes the new column before this revision is reached, so its unique
-- index can be built later.

-- step brief, barrier: add the column
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without CREATE UNIQUE INDEX

-- step concurrent: build the unique index of queueing locks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status OPERATOR(pg_catalog.=) 'todo';
