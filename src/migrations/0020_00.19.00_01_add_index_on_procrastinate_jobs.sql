-- Adds an index of the jobs that wait or run. Fetching looks up earlier jobs with the same lock in
-- it.
-- Locks: SHARE on procrastinate_jobs while the index is built: writers wait, readers do not (about
-- 1 s for 4 million jobs).

CREATE INDEX procrastinate_jobs_id_lock_idx ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);
