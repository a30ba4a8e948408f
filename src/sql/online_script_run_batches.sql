-- Runs the statement of a batched step of an online script over a range of ids in each transaction.
-- A program.
--
-- {{batch_range}}     batch_range.sql for format(): schema, table
-- {{batch_end}}       batch_end.sql for the same
-- {{batch_unchanged}} batch_unchanged.sql for the same, and the condition
--
-- How many rows a batch has depends on how long the last one took: 100 ms are aimed at. Rows that
-- are inserted later need no change. A row of the history says how far the batches have come: with
-- the first batch, then every 5 s.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    name CONSTANT text := format('step %s.%s', lpad(step[1]::text, 4, '0'), step[2] - 1);
    title CONSTANT text := current_setting('procrastinate_script.title');
    table_name CONSTANT text := split_part(current_setting('procrastinate_script.locks'), ' ', 1);
    statement CONSTANT text := current_setting('procrastinate_script.sql');
    condition CONSTANT text :=
        rtrim(substr(statement, strpos(statement, E'\nWHERE ') + 1), E';\n ');
    wal_rate CONSTANT float8 := current_setting('procrastinate_script.max_wal_rate');
    first_id int8;
    last_id int8;
    next_id int8;
    done int8; -- the last id of what is committed
    batch int8 := 1000; -- rows
    changed int8;
    unchanged int8;
    all_changed int8 := 0;
    is_begun boolean := false;
    is_over boolean := false;
    is_done boolean;
    began timestamp with time zone;
    recorded timestamp with time zone;
    told timestamp with time zone := clock_timestamp();
    spent float8; -- milliseconds
    -- The rate of WAL counts from here. A second of unused allowance is kept.
    rate_since timestamp with time zone;
    rate_wal pg_lsn;
    owed float8; -- milliseconds
BEGIN
    EXECUTE current_setting('procrastinate_script.announce');
    LOOP
        COMMIT;
        is_done := false;
        BEGIN
            PERFORM set_config('lock_timeout', current_setting('procrastinate_script.lock_timeout'),
                               true);
            EXECUTE current_setting('procrastinate_script.enter');
            is_over := current_setting('procrastinate_script.position')::int[] >= step;
            IF NOT is_over THEN
                EXECUTE format('LOCK TABLE %I.%I IN ROW EXCLUSIVE MODE', schema_name, table_name);
                EXECUTE current_setting('procrastinate_script.check_role');
                IF NOT is_begun THEN
                    EXECUTE format($range${{batch_range}}$range$, schema_name, table_name)
                       INTO first_id, last_id;
                    first_id := coalesce(first_id, 0);
                    last_id := coalesce(last_id, first_id);
                    -- "step 0024.1, 500 of 900"
                    done := substring(current_setting('procrastinate_script.latest')
                                      FROM ', (-?\d+) of ')::int8;
                    done := CASE WHEN done >= first_id THEN least(done, last_id) END;
                END IF;
                began := clock_timestamp();
                rate_since := coalesce(rate_since, began);
                rate_wal := coalesce(rate_wal, pg_current_wal_insert_lsn());
                -- The last rows may have been deleted: the step ends with an empty batch.
                first_id := least(coalesce(done + 1, first_id), last_id);
                EXECUTE format($end${{batch_end}}$end$, schema_name, table_name)
                   INTO next_id USING first_id, batch;
                next_id := least(coalesce(next_id, last_id), last_id);
                -- Nothing is called between these two: another role's functions may be in reach.
                PERFORM set_config('search_path', quote_ident(schema_name) || ', pg_temp', true);
                EXECUTE statement USING first_id, next_id;
                GET DIAGNOSTICS changed = ROW_COUNT;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
                -- A trigger or a rule can keep rows from being changed.
                EXECUTE format($unchanged${{batch_unchanged}}$unchanged$, schema_name, table_name,
                               condition)
                   INTO unchanged USING first_id, next_id;
                IF unchanged > 0 THEN
                    RAISE EXCEPTION 'could not change all rows of table "%"', table_name
                        USING ERRCODE = '55000',
                            DETAIL = format('A trigger or a rule on the table keeps %s of them '
                                            'from being changed.', unchanged),
                            HINT = 'Disable it for as long as the migration takes, and run the '
                                'script again.';
                END IF;
                IF next_id >= last_id THEN
                    EXECUTE current_setting('procrastinate_script.record');
                ELSIF recorded IS NULL OR clock_timestamp() > recorded + interval '5 s' THEN
                    PERFORM set_config('procrastinate_script.event',
                                       format('%s, %s of %s', name, next_id, last_id), true);
                    EXECUTE current_setting('procrastinate_script.record');
                    PERFORM set_config('procrastinate_script.event', '', true);
                    recorded := clock_timestamp();
                END IF;
            END IF;
            is_done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
        IF NOT is_done THEN
            EXECUTE current_setting('procrastinate_script.retry');
            CONTINUE;
        END IF;
        COMMIT;
        EXIT WHEN is_over OR next_id >= last_id;
        is_begun := true;
        done := next_id;
        all_changed := all_changed + changed;
        PERFORM set_config('procrastinate_script.failures', '0', false),
                set_config('procrastinate_script.since', '', false);
        spent := 1000 * extract(epoch FROM clock_timestamp() - began);
        batch := least(50000, greatest(100, batch * least(2, greatest(0.5,
            100 / greatest(spent, 0.1)))));
        IF clock_timestamp() > told + interval '1 s' THEN
            RAISE NOTICE '%: id % of %, % rows changed', title, done, last_id, all_changed;
            told := clock_timestamp();
        END IF;
        -- WAL of other sessions in the meantime counts, too.
        owed := 0;
        IF wal_rate > 0 THEN
            owed := 1000 * (pg_current_wal_insert_lsn() - rate_wal)::float8 / wal_rate
                    - 1000 * extract(epoch FROM clock_timestamp() - rate_since);
            IF owed < -1000 THEN
                rate_since := rate_since + (-owed - 1000) * interval '1 ms';
            END IF;
        END IF;
        PERFORM pg_sleep(greatest(spent / 4, owed) / 1000);
    END LOOP;
END
