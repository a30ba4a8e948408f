-- Steps of 0004: one, which takes its lock for a moment.

-- step brief: the whole migration
-- lock procrastinate_version ACCESS EXCLUSIVE if there
-- rest
