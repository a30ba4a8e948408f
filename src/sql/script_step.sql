-- One step of an offline script: a NOTICE, the SQL, its row in the history, and the notification. A
-- template; psql runs the result, inside a transaction that script_begin.sql began.
--
-- {{message}}         text of the NOTICE, as a literal
-- {{drop_indexes}}    script_drop_index.sql for each index that an online run may have built ahead
-- {{sql}}             script_migration.sql or script_head.sql
-- {{append_history}}  append_history.sql
-- {{history}}         name of the history, quoted and qualified
-- {{revision}}        revision that the step leads to

DO $begin$
BEGIN
    RAISE NOTICE '%', {{message}};
    PERFORM set_config('procrastinate_script.started', extract(epoch FROM clock_timestamp())::text,
                       true);
{{drop_indexes}}END
$begin$;
{{sql}}{{append_history}}DO $recorded$
BEGIN
    -- A trigger can keep the row out, or change it.
    IF NOT EXISTS (SELECT FROM ONLY {{history}} h
                    WHERE h.id = (SELECT max(l.id) FROM ONLY {{history}} l)
                      AND h.to_revision = '{{revision}}' AND h.event IN ('install', 'upgrade')) THEN
        RAISE EXCEPTION 'could not record {{revision}} in the history' USING ERRCODE = '55000';
    END IF;
END
$recorded$;
NOTIFY procrastinate_schema, '{{revision}}';
