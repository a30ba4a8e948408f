-- Drops the functions by which releases before 3.2 defer jobs.
-- Locks: none on tables. Drops functions, which takes a moment.

DROP FUNCTION procrastinate_defer_periodic_job_v1(
    character varying, character varying, character varying, character varying, integer, character varying,
    bigint, jsonb
);
DROP FUNCTION procrastinate_defer_job_v1(
    character varying, character varying, integer, text, text, jsonb, timestamp with time zone
);
