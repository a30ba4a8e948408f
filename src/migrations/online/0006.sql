-- Steps of 0006: one, which takes its lock for a moment.

-- step brief: the whole migration
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest
