-- Prepares an index build of an online script: records that the migration has begun, refuses a name
-- that is taken, and drops what an ended build has left. A program. It puts the statement that psql
-- runs next into the setting procrastinate_script.build, or an empty text if the index is there.
--
-- A build holds SHARE UPDATE EXCLUSIVE on the table. An invalid index is only dropped under that
-- lock: until then another session may be building it.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    revision CONSTANT text := lpad(step[1]::text, 4, '0');
    index_name CONSTANT text := current_setting('procrastinate_script.index');
    table_name CONSTANT text := current_setting('procrastinate_script.build_table');
    -- The indexes that this migration builds, and no earlier one ahead of it.
    new_indexes CONSTANT text[] :=
        string_to_array(current_setting('procrastinate_script.new_indexes'), ' ');
    -- Indexes of earlier steps that this script leaves out.
    skipped CONSTANT text[] :=
        string_to_array(current_setting('procrastinate_script.skipped'), ' ');
    found_index record;
    is_over boolean := false;
BEGIN
    EXECUTE current_setting('procrastinate_script.announce');
    LOOP
        COMMIT;
        BEGIN
            PERFORM set_config('lock_timeout', current_setting('procrastinate_script.lock_timeout'),
                               true);
            PERFORM set_config('procrastinate_script.build', '', false);
            EXECUTE current_setting('procrastinate_script.enter');
            IF current_setting('procrastinate_script.position')::int[] < step THEN
                PERFORM set_config('procrastinate_script.build',
                                   current_setting('procrastinate_script.sql'), false);
                IF current_setting('procrastinate_script.latest')
                   NOT LIKE 'step ' || revision || '.%' THEN
                    FOR found_index IN
                        SELECT c.relname FROM pg_class c
                         WHERE c.relnamespace = schema_oid AND c.relname = ANY (new_indexes)
                         LIMIT 1
                    LOOP
                        RAISE EXCEPTION 'cannot build index "%" of migration %',
                            found_index.relname, revision
                            USING ERRCODE = 'PM009', DETAIL = 'Another relation has this name.',
                                HINT = format('Rename it: ALTER INDEX %I.%I RENAME TO own_index;',
                                              schema_name, found_index.relname);
                    END LOOP;
                    -- From now on an index of that name is this step's.
                    PERFORM set_config('procrastinate_script.event', format('step %s.0', revision),
                                       true);
                    EXECUTE current_setting('procrastinate_script.record');
                    PERFORM set_config('procrastinate_script.event', '', true);
                END IF;
                FOR found_index IN
                    SELECT c.relname AS name, i.indisvalid AS is_valid,
                           i.indrelid IS NOT DISTINCT FROM
                               to_regclass(format('%I.%I', schema_name, table_name)) AS is_ours
                      FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
                     WHERE c.relnamespace = schema_oid
                       AND (c.relname = index_name
                            OR c.relname = ANY (skipped) AND NOT i.indisvalid)
                LOOP
                    IF NOT found_index.is_ours THEN
                        RAISE EXCEPTION 'cannot build index "%" of migration %',
                            found_index.name, revision
                            USING ERRCODE = 'PM009', DETAIL = 'Another relation has this name.',
                                HINT = format('Rename it: ALTER INDEX %I.%I RENAME TO own_index;',
                                              schema_name, found_index.name);
                    END IF;
                    IF found_index.is_valid THEN -- a skipped one is not
                        PERFORM set_config('procrastinate_script.build', '', false);
                        CONTINUE;
                    END IF;
                    EXECUTE format('LOCK TABLE %I.%I IN SHARE UPDATE EXCLUSIVE MODE', schema_name,
                                   table_name);
                    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', schema_name,
                                   table_name);
                    IF EXISTS (SELECT FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
                                WHERE c.relnamespace = schema_oid AND c.relname = found_index.name
                                  AND NOT i.indisvalid) THEN
                        EXECUTE format('DROP INDEX %I.%I', schema_name, found_index.name);
                    ELSIF found_index.name = index_name THEN
                        PERFORM set_config('procrastinate_script.build', '', false);
                    END IF;
                END LOOP;
            END IF;
            is_over := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
        EXIT WHEN is_over;
        EXECUTE current_setting('procrastinate_script.retry');
    END LOOP;
END
