-- A client of release 3.2 defers a job (from 0034 on).
\set n random(1, 1000000)
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('queue ' || :n % 10, 'task', 0, CASE WHEN :n % 3 = 0 THEN 'lock ' || :n END, NULL, '{"n": 1}', NULL)]::procrastinate_job_to_defer_v1[]);
