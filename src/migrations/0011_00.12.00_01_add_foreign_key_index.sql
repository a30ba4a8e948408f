-- Adds an index for the foreign key from periodic records to jobs. Each DELETE of a job uses it.
-- Locks: SHARE on procrastinate_periodic_defers for one scan of the table: writers wait, readers
-- do not. The table has a few rows for each periodic task.

-- The index has the name of the foreign key that it serves.
CREATE INDEX procrastinate_periodic_defers_job_id_fkey ON procrastinate_periodic_defers (job_id);
