-- Steps of 0010: one, which takes its lock for a moment.

-- step brief: the whole migration
-- lock procrastinate_jobs SHARE ROW EXCLUSIVE
-- rest
