-- Creates the table whose lock is the fetch barrier. A template.
--
-- {{schema}} name of the schema, quoted as an identifier

CREATE TABLE {{schema}}.procrastinate_fetch_barrier ();
COMMENT ON TABLE {{schema}}.procrastinate_fetch_barrier IS
    'lock of procrastinate_migrate; the table exists while columns of procrastinate_jobs change';
