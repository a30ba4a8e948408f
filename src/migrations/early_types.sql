-- The enum types of 0001 with the labels that 0027 adds, for a run of the chain from base to 0029 or
-- later in one transaction: a label that ALTER TYPE adds cannot be used in its own transaction
-- (before PostgreSQL 17 not even where the type was created there). 0027 then finds its labels.
-- Takes no lock that anybody waits for: the types are new.

CREATE TYPE procrastinate_job_status AS ENUM (
    'todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted'
);

CREATE TYPE procrastinate_job_event_type AS ENUM (
    'deferred', 'started', 'deferred_for_retry', 'failed', 'succeeded', 'cancelled', 'abort_requested', 'aborted',
    'scheduled'
);
