-- Steps of 0003. Fetch functions return rows of procrastinate_jobs, so running fetches must finish
-- before the column is dropped: the fetch barrier.

-- step brief, barrier: drop the column
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest
