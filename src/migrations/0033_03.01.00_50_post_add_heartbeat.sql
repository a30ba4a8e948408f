-- Drops the form of procrastinate_fetch_job that releases before 3.1 call.
-- Locks: none on tables. Drops a function, which takes a moment.

DROP FUNCTION procrastinate_fetch_job_v1(character varying[]);
