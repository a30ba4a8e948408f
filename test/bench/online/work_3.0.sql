-- A worker of release 3.0 fetches a job and finishes it, or has it retried (0030 to 0032).
\set n random(1, 20)
SELECT coalesce(id, 0) AS job FROM procrastinate_fetch_job_v1(NULL) \gset
\if :job > 0
\if :n = 1
SELECT procrastinate_retry_job_v1(:job, now(), NULL, NULL, NULL);
\else
SELECT procrastinate_finish_job_v1(:job, 'succeeded', false);
\endif
\else
\sleep 5 ms
\endif
