-- 0011 under load.

-- step concurrent: index of the periodic records' jobs
CREATE INDEX CONCURRENTLY procrastinate_periodic_defers_job_id_fkey ON procrastinate_periodic_defers (job_id);
