-- 0007 under load: nothing writes the new column before it is through, so that its unique index can come later.

-- step brief, barrier: add the column
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without CREATE UNIQUE INDEX

-- step concurrent: unique index of queueing locks
CREATE UNIQUE INDEX CONCURRENTLY procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status OPERATOR(pg_catalog.=) 'todo';
