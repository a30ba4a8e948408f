-- Removes the form of fetching a job that releases before 3.1 call.
-- Takes no table lock: drops a function, in a moment.

DROP FUNCTION procrastinate_fetch_job_v1(character varying[]);
