-- 0004 under load: one lock, for an instant.

-- step brief: the whole migration
-- lock procrastinate_version ACCESS EXCLUSIVE if there
-- rest
