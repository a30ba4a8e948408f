-- Steps of 0032. The column is added behind the fetch barrier, and its index is built while
-- clients work.

-- step brief, barrier: add the column, table and functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without CREATE INDEX idx_procrastinate_jobs_worker_not_null

-- step concurrent: build the index of the workers' jobs
CREATE INDEX CONCURRENTLY idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs (worker_id)
    WHERE worker_id IS NOT NULL AND status OPERATOR(pg_catalog.=) 'doing';
