-- Steps of 0029. The indexes are built while clients work. One of them then takes the name of the
-- index that it replaces.

-- step concurrent: build the index of the order of fetching
CREATE INDEX CONCURRENTLY procrastinate_jobs_priority_idx ON procrastinate_jobs (priority DESC, id)
    WHERE status OPERATOR(pg_catalog.=) 'todo';

-- step concurrent: build the index for the look-up of locks
CREATE INDEX CONCURRENTLY procrastinate_jobs_id_lock_idx_0029 ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=)
        ANY (ARRAY['todo', 'doing', 'aborting']::procrastinate_job_status[]);

-- step brief: exchange indexes, replace the function
-- lock procrastinate_jobs ACCESS EXCLUSIVE
DROP INDEX procrastinate_jobs_id_lock_idx;
ALTER INDEX procrastinate_jobs_id_lock_idx_0029 RENAME TO procrastinate_jobs_id_lock_idx;
-- rest without LOCK TABLE, DROP INDEX, CREATE INDEX
