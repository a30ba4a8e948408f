-- Steps of 0020. The index may have been built on the way here, by 0008.

-- step concurrent: build the index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0020 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);

-- step brief: rename the index
ALTER INDEX procrastinate_jobs_id_lock_idx_0020 RENAME TO procrastinate_jobs_id_lock_idx;
