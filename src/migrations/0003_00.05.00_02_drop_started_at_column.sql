-- Drops procrastinate_jobs.started_at with its values. The events tell when a job was started.
-- Locks: ACCESS EXCLUSIVE on procrastinate_jobs for a moment. No row is rewritten.

ALTER TABLE procrastinate_jobs DROP COLUMN started_at;
