-- Queueing locks: at most one waiting job may hold each of them.
-- ACCESS EXCLUSIVE on procrastinate_jobs. The column is added without a rewrite; the index then takes one
-- scan of the table under that lock, and holds only the jobs that wait.

ALTER TABLE procrastinate_jobs ADD COLUMN queueing_lock text;

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status OPERATOR(pg_catalog.=) 'todo';
