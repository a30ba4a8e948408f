-- 0030 under load: the new column's trigger sees to the jobs that old code aborts from now on, batches to those
-- that are being aborted already.

-- step brief, barrier: add the column, the functions and the triggers
-- lock procrastinate_jobs ACCESS EXCLUSIVE
-- rest without UPDATE

-- step batched procrastinate_jobs: jobs that are being aborted
UPDATE procrastinate_jobs
SET abort_requested = true
WHERE id OPERATOR(pg_catalog.>) $1
    AND id OPERATOR(pg_catalog.<=) $2
    AND status OPERATOR(pg_catalog.=) 'aborting'
    AND NOT abort_requested;
