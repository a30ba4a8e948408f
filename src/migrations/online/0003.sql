-- 0003 under load: fetches are let out before the column goes, since they return rows of the table.

-- step brief, barrier: drop the column
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest
