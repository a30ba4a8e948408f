-- A client of release 0.23 defers a job (0010 to 0030); a third of them have one of the client's
-- own locks, since an order of ids that is not that of commits would let two jobs of a lock be
-- fetched.
\set n random(1, 1000000)
\set lock :client_id * :locks + random(1, :locks)
SELECT procrastinate_defer_job('queue ' || :n % 10, 'task',
       CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END, NULL, '{"n": 1}'::jsonb, NULL);
