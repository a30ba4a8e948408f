-- A client of release 0.8 defers a job (0001 to 0022); a third of them have one of the client's own
-- locks, since an order of ids that is not that of commits would let two jobs of a lock be fetched.
\set n random(1, 1000000)
\set lock :client_id * :locks + random(1, :locks)
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args) VALUES ('queue ' || :n % 10,
    'task', CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END, '{"n": 1}') RETURNING id;
