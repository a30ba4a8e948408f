-- A client of release 0.8 defers a job (0006 to 0008).
\set n random(1, 1000000)
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args) VALUES ('queue ' || :n % 10, 'task', CASE WHEN :n % 3 = 0 THEN 'lock ' || :n END, '{"n": 1}') RETURNING id;
