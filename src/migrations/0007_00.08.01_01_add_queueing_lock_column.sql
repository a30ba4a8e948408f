-- Queueing locks: at most one waiting job can have each of them.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs for one scan of the table, which builds the index.
-- The column is added without a rewrite. The index contains waiting jobs only.

ALTER TABLE procrastinate_jobs ADD COLUMN queueing_lock text;

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx
    ON procrastinate_jobs (queueing_lock) WHERE status OPERATOR(pg_catalog.=) 'todo';
