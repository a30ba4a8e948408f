-- Runs a step of an online script in one transaction, and asks for its locks again and again until
-- it has them. A program.
--
-- {{remember_grants}}      script_remember_grants.sql, or nothing
-- {{copy_grants}}          script_copy_grants.sql, or nothing
-- {{notify_workers}}       notify_workers.sql for format(): schema
-- {{first_of_new_channels}}, {{end_of_old_channels}} revisions
--
-- The barrier is closed by its table's lock until the columns have changed. Clients may have
-- planned a fetch before that: a row of the table keeps the barrier closed for a moment more. The
-- next step drops the table.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    locks CONSTANT text[] := string_to_array(current_setting('procrastinate_script.locks'), ', ');
    barrier CONSTANT text := current_setting('procrastinate_script.barrier');
    lock_timeout CONSTANT text := current_setting('procrastinate_script.lock_timeout');
    index_name CONSTANT text := current_setting('procrastinate_script.index');
    statements CONSTANT text := current_setting('procrastinate_script.sql');
    table_lock text;
    channel record;
    is_over boolean := false;
BEGIN
    EXECUTE current_setting('procrastinate_script.announce');
    IF barrier = 'close' THEN
        -- Fetches that began before the barrier was installed do not share its lock.
        EXECUTE current_setting('procrastinate_script.wait_for_clients');
    END IF;
    LOOP
        COMMIT;
        BEGIN
            PERFORM set_config('lock_timeout', lock_timeout, true);
            EXECUTE current_setting('procrastinate_script.enter');
            IF current_setting('procrastinate_script.position')::int[] < step THEN
{{remember_grants}}                IF barrier = 'close' THEN
                    -- New fetches do not queue behind this lock: they return no job.
                    PERFORM set_config('lock_timeout', (least(10000, lock_timeout::float8
                        * 2 ^ least(current_setting('procrastinate_script.failures')::int, 10))
                        )::bigint::text, true);
                    EXECUTE format('LOCK TABLE %I.procrastinate_fetch_barrier'
                                   ' IN ACCESS EXCLUSIVE MODE', schema_name);
                    PERFORM set_config('lock_timeout', lock_timeout, true);
                END IF;
                FOREACH table_lock IN ARRAY locks LOOP
                    CONTINUE WHEN table_lock LIKE '% if there'
                        AND to_regclass(format('%I.%I', schema_name,
                                               split_part(table_lock, ' ', 1))) IS NULL;
                    EXECUTE format('LOCK TABLE %I.%I IN %s MODE', schema_name,
                                   split_part(table_lock, ' ', 1),
                                   substring(table_lock FROM ' (.*?)( if there)?$'));
                END LOOP;
                IF cardinality(locks) > 0 THEN
                    -- Until now a session could add a trigger.
                    EXECUTE current_setting('procrastinate_script.check_role');
                END IF;
                IF current_setting('procrastinate_script.checks_column')::boolean THEN
                    EXECUTE current_setting('procrastinate_script.check_column');
                END IF;
                IF index_name <> '' AND NOT coalesce(
                       (SELECT i.indisvalid
                          FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
                         WHERE c.relnamespace = schema_oid AND c.relname = index_name
                           AND i.indrelid = to_regclass(format('%I.%I', schema_name,
                               current_setting('procrastinate_script.build_table')))), false) THEN
                    RAISE EXCEPTION 'index "%" has not been built', index_name
                        USING ERRCODE = '55000',
                            HINT = 'Run the script again: it drops what is left of the index, and '
                                'builds it.';
                END IF;
                IF barrier IN ('install', 'remove') THEN
                    PERFORM set_config('procrastinate_script.action', barrier, true);
                    EXECUTE current_setting('procrastinate_script.change_barrier');
                END IF;
                -- Nothing is called between these two: another role's functions may be in reach.
                PERFORM set_config('search_path', quote_ident(schema_name) || ', pg_temp', true);
                EXECUTE statements;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
                EXECUTE $copy$
{{copy_grants}}$copy$;
                IF barrier = 'close' THEN
                    -- The fetch functions that came with the columns get the barrier, too.
                    PERFORM set_config('procrastinate_script.action', 'install', true);
                    EXECUTE current_setting('procrastinate_script.change_barrier');
                    EXECUTE format('INSERT INTO %I.procrastinate_fetch_barrier'
                                   ' VALUES (clock_timestamp() + interval ''1 s'')', schema_name);
                ELSIF barrier = 'remove' THEN
                    -- Workers that found the barrier closed would only poll later.
                    FOR channel IN
                        SELECT * FROM (VALUES
                            ('', 'procrastinate_migrate', step[1] < {{end_of_old_channels}}),
                            ('_v1', '{"type": "job_inserted", "job_id": 0}',
                             step[1] >= {{first_of_new_channels}})) c (suffix, payload, is_used)
                         WHERE c.is_used
                    LOOP
                        EXECUTE format($notify$
{{notify_workers}}$notify$, schema_name)
                          USING 'procrastinate_queue' || channel.suffix,
                                'procrastinate_any_queue' || channel.suffix, channel.payload;
                    END LOOP;
                END IF;
                EXECUTE current_setting('procrastinate_script.record');
            END IF;
            is_over := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
        EXIT WHEN is_over;
        EXECUTE current_setting('procrastinate_script.retry');
    END LOOP;
    COMMIT;
    IF barrier = 'close' THEN
        EXECUTE current_setting('procrastinate_script.wait_for_clients');
        COMMIT;
    END IF;
END
