-- A client of release 3.0 defers a job (0030 to 0034); a third of them have one of the client's own
-- locks, since an order of ids that is not that of commits would let two jobs of a lock be fetched.
\set n random(1, 1000000)
\set lock :client_id * :locks + random(1, :locks)
SELECT procrastinate_defer_job_v1('queue ' || :n % 10, 'task', 0,
       CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END, NULL, '{"n": 1}'::jsonb, NULL);
