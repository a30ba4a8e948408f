-- One step of an offline script: a NOTICE, the SQL, its row in the history, and the notification. A
-- template; psql runs the result, inside a transaction that script_begin.sql began.
--
-- {{message}}          text of the NOTICE, as a literal
-- {{drop_indexes}}     script_drop_index.sql for each index that an online run may have built ahead
-- {{remember_grants}}  script_remember_grants.sql, or nothing
-- {{sql}}              script_migration.sql, or the schema of head
-- {{copy_grants}}      script_copy_grants.sql, or nothing
-- {{append_history}}   append_history.sql
-- {{is_own}}           condition that a row of the history is this database's
-- {{revision}}         revision that the step leads to

DO $begin$
BEGIN
    RAISE NOTICE '%', {{message}};
    PERFORM set_config('procrastinate_script.started', extract(epoch FROM clock_timestamp())::text,
                       true);
{{drop_indexes}}{{remember_grants}}END
$begin$;
{{sql}}{{copy_grants}}{{append_history}}DO $recorded$
DECLARE
    is_recorded boolean;
BEGIN
    EXECUTE format('SELECT to_revision = %L AND event IN (''install'', ''upgrade'')'
                   ' FROM ONLY %I.procrastinate_schema_history WHERE {{is_own}}'
                   ' ORDER BY id DESC LIMIT 1',
                   '{{revision}}', current_setting('procrastinate_script.schema'))
       INTO is_recorded;
    -- A trigger can keep the row out, or change it.
    IF is_recorded IS NOT TRUE THEN
        RAISE EXCEPTION 'could not record {{revision}} in the history' USING ERRCODE = '55000';
    END IF;
    PERFORM pg_notify('procrastinate_schema',
                      '{{revision}} ' || current_setting('procrastinate_script.schema'));
END
$recorded$;
