-- Steps of 0023: one, which takes its lock for a moment.

-- step brief: the whole migration
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
-- rest
