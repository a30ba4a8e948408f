-- Steps of 0025. Fetch functions return rows of procrastinate_jobs, so running fetches must finish
-- before the column is added: the fetch barrier.

-- step brief, barrier: add the column and the functions
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest
