-- Before a post migration of an online script that drops functions: looks for sessions that seem to
-- use them, as far as the role may see their queries. A program.
--
-- {{sessions_in_use}}     sessions_in_use.sql
-- {{end_of_old_channels}} the revision after which workers listen on the new channels only
-- {{is_own}}              condition that a row of the history is this database's
--
-- The role need not wait for counts of calls: what the sessions' last queries call is looked at
-- only.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    revision CONSTANT text := lpad(step[1]::text, 4, '0');
    dropped CONSTANT text := replace(current_setting('procrastinate_script.dropped'), ' ', '|');
    session record;
    call text[];
    applied timestamp with time zone; -- the release's pre migration
    finding text;
    findings text[] := '{}';
    hidden int := 0;
    is_over boolean := false;
BEGIN
    PERFORM set_config('procrastinate_script.failures', '0', false),
            set_config('procrastinate_script.since', '', false);
    LOOP
        COMMIT;
        BEGIN
            PERFORM set_config('lock_timeout', current_setting('procrastinate_script.lock_timeout'),
                               true);
            EXECUTE current_setting('procrastinate_script.enter');
            is_over := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
        EXIT WHEN is_over;
        EXECUTE current_setting('procrastinate_script.retry');
    END LOOP;
    -- Once a step is done, what the check would protect has been changed already.
    IF current_setting('procrastinate_script.position')::int[] >= step
       OR current_setting('procrastinate_script.latest') LIKE 'step ' || revision || '.%' THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT max(applied_at) FROM ONLY %I.procrastinate_schema_history'
                   ' WHERE {{is_own}} AND event = ''upgrade'' AND to_revision = $1', schema_name)
       INTO applied USING lpad((step[1] - 1)::text, 4, '0');
    FOR session IN EXECUTE $sessions$
SELECT * FROM (
{{sessions_in_use}}) s (description, activity, query, is_old)$sessions$
        USING (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name), applied
    LOOP
        IF session.query IS NULL THEN
            hidden := hidden + 1;
            CONTINUE;
        END IF;
        finding := NULL;
        FOR call IN
            -- Without comments and literals.
            SELECT regexp_matches(regexp_replace(session.query,
                       '/\*.*?\*/|--[^\n]*|''(?:[^'']|'''')*''', ' ', 'g'),
                       '(?:("(?:[^"]|"")+"|[[:alnum:]_$]+)\s*\.\s*)?"?\m(' || dropped
                       || ')\M"?\s*\(', 'gi')
        LOOP
            IF call[1] IS NULL OR lower(schema_name) = lower(call[1])
               OR quote_ident(schema_name) = call[1]
               OR '"' || schema_name || '"' = call[1] THEN
                finding := session.activity || ', calls ' || call[2];
                EXIT;
            END IF;
        END LOOP;
        IF finding IS NULL AND session.query ~* '^\s*listen\s+"?procrastinate_(any_)?queue' THEN
            IF step[1] = {{end_of_old_channels}}
               AND session.query !~* '^\s*listen\s+"?procrastinate_(any_)?queue_v1' THEN
                finding := 'listens for jobs on a channel of older releases';
            ELSIF session.is_old THEN
                finding := 'has listened for jobs since before the pre migration';
            END IF;
        END IF;
        IF finding IS NOT NULL THEN
            findings := findings || (session.description || finding);
        END IF;
    END LOOP;
    IF cardinality(findings) > 0 THEN
        RAISE EXCEPTION
            'migration % drops functions of schema "%" that seem to be in use', revision,
            schema_name
            USING ERRCODE = 'PM013',
                DETAIL = array_to_string(findings[1:20], E'\n')
                    || CASE WHEN cardinality(findings) > 20
                            THEN format(E'\nand %s more', cardinality(findings) - 20) ELSE '' END,
                HINT = 'Deploy the release of this schema everywhere and end the old workers, then '
                    'run the script again. If the sessions are no workers, or use another schema, '
                    'run it with -v force=1.';
    END IF;
    IF hidden > 0 AND current_setting('procrastinate_script.has_warned', true) IS DISTINCT FROM 'on'
    THEN
        PERFORM set_config('procrastinate_script.has_warned', 'on', false);
        RAISE WARNING 'could not check whether functions that migration % drops are in use',
            revision
            USING DETAIL = format('Role "%s" may not see the queries of %s sessions of other roles '
                                  'that may use the queue.', current_user, hidden),
                HINT = format('Grant it before the next upgrade: GRANT pg_read_all_stats TO %I;',
                              current_user);
    END IF;
END
