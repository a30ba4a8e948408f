-- Indexes for fetching: one in the order in which jobs are fetched, and one for the look-up of jobs of the
-- same lock, which now covers the status 'aborting' too and replaces the one of 0020.
-- Holds ACCESS EXCLUSIVE on procrastinate_jobs while both are built: workers wait (about a second for four
-- million jobs). Dropping the old index needs that mode; it is taken at once, because to come to it later
-- could deadlock.

LOCK TABLE procrastinate_jobs IN ACCESS EXCLUSIVE MODE;

DROP INDEX procrastinate_jobs_id_lock_idx;

CREATE INDEX procrastinate_jobs_id_lock_idx ON procrastinate_jobs (id, lock)
    WHERE status OPERATOR(pg_catalog.=) ANY (ARRAY['todo', 'doing', 'aborting']::procrastinate_job_status[]);

CREATE INDEX procrastinate_jobs_priority_idx ON procrastinate_jobs (priority DESC, id)
    WHERE status OPERATOR(pg_catalog.=) 'todo';
