-- Steps of 0011: the index is built concurrently.

-- step concurrent: build the index of periodic records' jobs
CREATE INDEX CONCURRENTLY procrastinate_periodic_defers_job_id_fkey
    ON procrastinate_periodic_defers (job_id);
