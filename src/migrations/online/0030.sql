-- Steps of 0030. The trigger of the new column handles jobs that code of older releases aborts
-- from now on. Batches handle jobs that have status 'aborting' already.

-- step brief, barrier: add the column, functions and triggers
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without UPDATE

-- step batched procrastinate_jobs: update the aborting jobs
UPDATE procrastinate_jobs
SET abort_requested = true
WHERE id OPERATOR(pg_catalog.>=) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND status OPERATOR(pg_catalog.=) 'aborting'
    AND NOT abort_requested;
