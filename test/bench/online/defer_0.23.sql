-- A client of release 0.23 defers a job (0010 to 0030).
\set n random(1, 1000000)
SELECT procrastinate_defer_job('queue ' || :n % 10, 'task', CASE WHEN :n % 3 = 0 THEN 'lock ' || :n END, NULL, '{"n": 1}'::jsonb, NULL);
