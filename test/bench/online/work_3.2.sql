-- A worker of release 3.1 and later fetches a job and finishes it, or has it retried (from 0032
-- on).
\set n random(1, 20)
SELECT coalesce(id, 0) AS job FROM procrastinate_fetch_job_v2(NULL, NULL) \gset
\if :job > 0
\if :n = 1
SELECT procrastinate_retry_job_v1(:job, now(), NULL, NULL, NULL);
\else
SELECT procrastinate_finish_job_v1(:job, 'succeeded', false);
\endif
\else
\sleep 5 ms
\endif
