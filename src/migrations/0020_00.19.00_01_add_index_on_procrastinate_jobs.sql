-- An index of the jobs that wait or run, for the look-up of earlier jobs of the same lock.
-- Holds SHARE on procrastinate_jobs while the index is built: reads go on, writes wait (about a second for
-- four million jobs).

CREATE INDEX procrastinate_jobs_id_lock_idx ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing']::procrastinate_job_status[]);
