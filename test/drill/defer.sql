-- A client defers a job; pgbench script of test/drill/online.pl.
\set n random(1, 1000000)
\set lock :client_id * :locks + random(1, :locks)
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW('queue ' || :n % 10, 'task', 0, CASE WHEN :n % 3 = 0 THEN 'lock ' || :lock END, NULL,
        '{"n": 1}', NULL)
]::procrastinate_job_to_defer_v1[]);
