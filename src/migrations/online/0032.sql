-- 0032 under load.

-- step brief, barrier: add the column, the table and the functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without CREATE INDEX idx_procrastinate_jobs_worker_not_null

-- step concurrent: index of the workers' jobs
CREATE INDEX CONCURRENTLY idx_procrastinate_jobs_worker_not_null ON procrastinate_jobs (worker_id)
    WHERE worker_id IS NOT NULL AND status OPERATOR(pg_catalog.=) 'doing';
