-- 0015 under load: one lock, for an instant.

-- step brief: the whole migration
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE
-- rest
