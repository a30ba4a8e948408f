-- Creates the table whose lock is the fetch barrier. A template.
--
-- {{schema}} name of the schema, quoted as an identifier
--
-- A row keeps the barrier closed until a time, after the transaction that has inserted it.

CREATE TABLE {{schema}}.procrastinate_fetch_barrier (
    closed_until timestamp with time zone NOT NULL
);
COMMENT ON TABLE {{schema}}.procrastinate_fetch_barrier IS
    'lock of procrastinate_migrate; the table exists while columns of procrastinate_jobs change';
