-- The second half of the made-up release: functions are dropped, among them the fetch function, and
-- an index is replaced. A real release may have dropped them before.
drop function if exists procrastinate_retry_job_v1(
  bigint, timestamp with time zone, integer, varchar, varchar);
DROP FUNCTION IF EXISTS procrastinate_fetch_job_v2;

DROP INDEX IF EXISTS procrastinate_jobs_priority_idx_v1; CREATE INDEX
  procrastinate_jobs_priority_idx_v1 ON procrastinate_jobs(urgency DESC, priority desc, id ASC)
  WHERE status OPERATOR(pg_catalog.=) 'todo';
