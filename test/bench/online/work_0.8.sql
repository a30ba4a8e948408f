-- A worker of release 0.8 fetches a job and finishes it, or has it retried (0001 to 0022).
\set n random(1, 20)
SELECT coalesce(id, 0) AS job FROM procrastinate_fetch_job(NULL) \gset
\if :job > 0
\if :n = 1
SELECT procrastinate_finish_job(:job, 'todo', now());
\else
SELECT procrastinate_finish_job(:job, 'succeeded', NULL::timestamptz);
\endif
\else
\sleep 5 ms
\endif
