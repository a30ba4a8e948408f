-- Drops procrastinate_jobs.started_at with its values: the events tell when a job was started.
-- ACCESS EXCLUSIVE on procrastinate_jobs, for a moment: only the catalog changes, no row is rewritten.

ALTER TABLE procrastinate_jobs DROP COLUMN started_at;
