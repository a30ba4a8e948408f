-- A client of release 3.0 defers a job (0030 to 0034).
\set n random(1, 1000000)
SELECT procrastinate_defer_job_v1('queue ' || :n % 10, 'task', 0, CASE WHEN :n % 3 = 0 THEN 'lock ' || :n END, NULL, '{"n": 1}'::jsonb, NULL);
