-- 0025 under load: fetches are let out before the column comes, since they return rows of the table.

-- step brief, barrier: add the column and the functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest
