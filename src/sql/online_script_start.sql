-- The first program of an online script: finds out how far the installation has come. The setting
-- procrastinate_script.is_base is on if nothing is installed yet.
--
-- {{find_present}}  script_find_present.sql
-- {{adopt}}         script_adopt.sql
-- {{follow_catalog}} script_follow_catalog.sql
-- {{check_unknown}} script_check_unknown.sql
-- {{warn_of_timeouts}} script_warn_of_timeouts.sql

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    names CONSTANT text[] := string_to_array(current_setting('procrastinate_script.names'), ' ');
    range_start CONSTANT int[] := current_setting('procrastinate_script.range_start')::int[];
    range_end CONSTANT int[] := current_setting('procrastinate_script.range_end')::int[];
    start_name CONSTANT text := current_setting('procrastinate_script.start_name');
    history CONSTANT text := 'procrastinate_schema_history';
    place int[];
    match record;
    unknown record;
    time_limit record;
    present text[];
    is_base boolean := false;
    is_over boolean := false;
BEGIN
    PERFORM set_config('procrastinate_script.failures', '0', false),
            set_config('procrastinate_script.since', '', false);
    LOOP
        COMMIT;
        BEGIN
            PERFORM set_config('lock_timeout', current_setting('procrastinate_script.lock_timeout'),
                               true);
            IF schema_oid IS NOT NULL THEN
                -- Says more than an error about the history alone.
                EXECUTE current_setting('procrastinate_script.check_role');
            END IF;
            EXECUTE current_setting('procrastinate_script.enter');
{{find_present}}            place := current_setting('procrastinate_script.position')::int[];
            IF place = '{1,0}' AND cardinality(present) > 0 THEN
{{adopt}}                place := ARRAY[match.revision::int + 1, 0];
                PERFORM set_config('procrastinate_script.position', place::text, false);
                -- No lock keeps another role from adding a function meanwhile.
                EXECUTE current_setting('procrastinate_script.check_role');
            ELSIF place > '{1,0}' AND cardinality(present) > 0
                  AND current_setting('procrastinate_script.latest') NOT LIKE 'step %' THEN
{{follow_catalog}}                IF match.revision IS NOT NULL THEN
                    place := ARRAY[match.revision::int + 1, 0];
                    PERFORM set_config('procrastinate_script.position', place::text, false);
                    EXECUTE current_setting('procrastinate_script.check_role');
                END IF;
            END IF;
            IF place > '{1,0}' AND cardinality(present) = 0 THEN
                RAISE EXCEPTION
                    'schema "%" holds none of Procrastinate''s tables, but its history says more',
                    schema_name
                    USING ERRCODE = 'PM009';
            ELSIF place < range_start THEN
                RAISE EXCEPTION 'schema "%" is before %, where this script starts', schema_name,
                    start_name
                    USING ERRCODE = 'PM009', HINT = format('Make a script that starts earlier: '
                        'SELECT procrastinate_sql(%L, schema => %L, online => true);',
                        'current:' || current_setting('procrastinate_script.end_name'),
                        schema_name);
            ELSIF place = '{1,0}' THEN
                is_base := true;
            ELSIF place < '{25,0}' AND range_end > '{24,9}' THEN
                EXECUTE current_setting('procrastinate_script.check_column');
            ELSIF place >= range_end THEN
                RAISE NOTICE 'schema "%" is at %: nothing to do', schema_name,
                    lpad((place[1] - 1)::text, 4, '0');
            END IF;
            IF place < range_end THEN
{{check_unknown}}{{warn_of_timeouts}}            END IF;
            is_over := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
        EXIT WHEN is_over;
        EXECUTE current_setting('procrastinate_script.retry');
    END LOOP;
    PERFORM set_config('procrastinate_script.is_base', is_base::text, false);
END
