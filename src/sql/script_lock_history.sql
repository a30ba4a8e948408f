-- Locks the history, which it creates if the setting procrastinate_script.keeps_history is on. A
-- template for the DO blocks of scripts for psql, which have the variables schema_name, history and
-- history_oid.
--
-- {{create_history}} create_history.sql for format(): schema, table

    LOOP
        history_oid := (SELECT c.oid
                          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                         WHERE n.nspname = schema_name AND c.relname = history);
        IF history_oid IS NULL THEN
            EXIT WHEN NOT current_setting('procrastinate_script.keeps_history')::boolean;
            -- Waits if another session is creating the table.
            BEGIN
                EXECUTE format($create${{create_history}}$create$, schema_name, history);
            EXCEPTION WHEN duplicate_table OR unique_violation THEN
                NULL;
            END;
            CONTINUE;
        END IF;
        EXIT WHEN EXISTS (
            SELECT FROM pg_locks l
             WHERE l.pid = pg_backend_pid() AND l.relation = history_oid AND l.granted
               AND l.mode IN ('ShareRowExclusiveLock', 'AccessExclusiveLock'));
        IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
                        WHERE c.oid = history_oid AND c.relkind = 'r'
                          AND r.rolname = current_user
                          AND NOT c.relhasrules) THEN
            RAISE EXCEPTION 'table %.% is not a history table',
                quote_ident(schema_name), history
                USING ERRCODE = 'PM010';
        END IF;
        EXIT WHEN row_security_active(history_oid); -- cannot be read, and is refused below
        EXECUTE format('LOCK TABLE ONLY %I.%I IN SHARE ROW EXCLUSIVE MODE', schema_name,
                       history);
    END LOOP;
