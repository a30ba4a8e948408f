-- 0023 under load: one lock, for an instant.

-- step brief: the whole migration
-- lock procrastinate_periodic_defers ACCESS EXCLUSIVE
-- rest
