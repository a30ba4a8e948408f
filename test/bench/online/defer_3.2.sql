-- A client of release 3.2 defers a job (from 0034 on); a third of them have one of the client's own
-- locks, since an order of ids that is not that of commits would let two jobs of a lock be fetched.
\set n random(1, 1000000)
\set lock :client_id * :locks + random(1, :locks)
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('queue ' || :n % 10, 'task', 0,
       CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END, NULL, '{"n": 1}',
       NULL)]::procrastinate_job_to_defer_v1[]);
