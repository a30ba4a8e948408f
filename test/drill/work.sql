-- A worker fetches a job and finishes it; pgbench script of test/drill/online.pl.
SELECT coalesce(id, 0) AS job FROM procrastinate_fetch_job_v2(NULL, NULL) \gset
\if :job > 0
SELECT procrastinate_finish_job_v1(:job, 'succeeded', false);
\else
\sleep 5 ms
\endif
