-- Builds the index of a step of an online script. psql runs it, because CREATE INDEX CONCURRENTLY
-- cannot run in a block. Its lock waits block no client: they may take as long as all retries.

DO :'procrastinate_start_build';
-- Three commands. No query is planned after the first: another role's functions may be in reach.
SELECT format('SET search_path = %I, pg_temp', current_setting('procrastinate_script.schema')),
       format('SET lock_timeout = %L', current_setting('procrastinate_script.retry_for')),
       current_setting('procrastinate_script.build')
 WHERE current_setting('procrastinate_script.build') <> '' \gexec
SET search_path = pg_catalog, pg_temp;
SET lock_timeout = 0;
SET procrastinate_script.locks = '';
SET procrastinate_script.about = '';
SET procrastinate_script.sql = '';
DO :'procrastinate_run_step';
