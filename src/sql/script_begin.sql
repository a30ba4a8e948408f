-- Begins a transaction of an offline script: settings, then a check that the schema is at the
-- revision that the transaction starts from, then locks. Where the schema is at the revision that
-- the transaction ends at, or past it, psql skips the rest: a script can be run again. A template;
-- psql runs the result.
--
-- {{schema}}           name of the schema, as a literal
-- {{start}}            revision that this transaction starts from
-- {{part}}             "this script", or for a later transaction "this part of the script"
-- {{transaction_end}}  revision that this transaction ends at
-- {{script_end}}       revision that the whole script ends at
-- {{lock_jobs}}        on if the transaction needs the jobs table locked, else off
-- {{keeps_history}}    on if the transaction appends to the history, else off
-- {{names}}            names of all objects that Procrastinate has had, separated by blanks
-- {{created}}          names of the objects that the transaction creates, each with its revision:
--                      0037:procrastinate_jobs.column; separated by blanks
-- {{foreign_objects}}  the query foreign_objects.sql over schema_oid and names
-- {{is_own}}           condition that a row of the history is this database's
-- {{record_start}}     create_history.sql and append_history.sql for format(): schema, table,
--                      revision
-- {{record}}           append_history.sql alone, for the same
-- {{create_history}}   create_history.sql for format(): schema, table
--
-- The setting procrastinate_script.is_done is on until the check has passed: a client that goes on
-- after an error runs nothing.
--
-- What differs between scripts reaches the DO block in settings, so that no name has to be quoted
-- inside the block; psql substitutes no variable there.
--
-- The lock of the history excludes other scripts and procrastinate_migrate, which takes the same.
-- The history is read only once it is locked: from then on it keeps its name. The block looks for
-- foreign objects again once all tables are locked, because a trigger can be added until then.
--
-- The queries read few rows of the catalog: compiling them (jit) would take longer than they run.
--
-- The bodies of functions are not checked: the check would use labels that this transaction adds,
-- and tables that are not on the search_path.

BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL standard_conforming_strings = on;
SET LOCAL transform_null_equals = off;
SET LOCAL check_function_bodies = off;
SET LOCAL row_security = off;
SET LOCAL jit = off;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL procrastinate_script.schema = {{schema}};
SET LOCAL procrastinate_script.start = '{{start}}';
SET LOCAL procrastinate_script.transaction_end = '{{transaction_end}}';
SET LOCAL procrastinate_script.script_end = '{{script_end}}';
SET LOCAL procrastinate_script.is_done = on;
SET LOCAL procrastinate_script.lock_jobs = '{{lock_jobs}}';
SET LOCAL procrastinate_script.keeps_history = '{{keeps_history}}';
SET LOCAL procrastinate_script.names = '{{names}}';
SET LOCAL procrastinate_script.created = '{{created}}';
DO $check$
DECLARE
    wanted CONSTANT text := current_setting('procrastinate_script.start');
    transaction_end CONSTANT text := current_setting('procrastinate_script.transaction_end');
    script_end CONSTANT text := current_setting('procrastinate_script.script_end');
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    names CONSTANT text[] := string_to_array(current_setting('procrastinate_script.names'), ' ');
    history CONSTANT text := 'procrastinate_schema_history';
    created CONSTANT text[] :=
        string_to_array(current_setting('procrastinate_script.created'), ' ');
    history_oid oid;
    recorded text;
    latest text;
    present text[];
    untrusted record;
    forced record;
    ahead record;
BEGIN
    IF schema_oid IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema_name
            USING ERRCODE = '3F000', HINT = format('CREATE SCHEMA %I;', schema_name);
    END IF;
    FOR pass IN 1 .. 2 LOOP
        IF NOT EXISTS (SELECT FROM pg_namespace n
                        WHERE n.oid = schema_oid AND n.nspname = schema_name) THEN
            RAISE EXCEPTION 'schema "%" has been dropped or renamed by another session', schema_name
                USING ERRCODE = '3F000';
        END IF;
        SELECT s.detail, s.hint
          INTO untrusted
          FROM (
{{foreign_objects}}          ) s;
        IF untrusted.detail IS NOT NULL THEN
            RAISE EXCEPTION 'role "%" may not change the installation in schema "%"',
                current_user, schema_name
                USING ERRCODE = '42501', DETAIL = untrusted.detail, HINT = untrusted.hint;
        END IF;
        -- The role that has logged in, also after SET SESSION AUTHORIZATION.
        IF EXISTS (SELECT FROM pg_stat_get_activity(pg_backend_pid()) a
                     JOIN pg_roles r ON r.oid = a.usesysid
                    WHERE r.rolname <> current_user) THEN
            RAISE EXCEPTION 'this script must not run as role "%" after SET ROLE', current_user
                USING ERRCODE = '42501',
                    DETAIL = 'A trigger of that role could RESET ROLE or RESET SESSION '
                        'AUTHORIZATION, and act as the role that has logged in.',
                    HINT = format('Connect as role %I.', current_user);
        END IF;
        EXIT WHEN pass = 2;

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
        -- Keep the schema's name until the end. Only a superuser can.
        IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
            PERFORM FROM pg_namespace n WHERE n.oid = schema_oid FOR KEY SHARE;
        END IF;
        present := ARRAY(SELECT o.name
            FROM (SELECT c.relname AS name, c.relnamespace AS schema, c.relkind <> 'r' AS rank
                    FROM pg_class c
                  UNION ALL
                  SELECT t.typname, t.typnamespace, true FROM pg_type t WHERE t.typrelid = 0) o
           WHERE o.schema = schema_oid AND o.name = ANY (names) ORDER BY o.rank, o.name);
        IF history_oid IS NOT NULL AND NOT row_security_active(history_oid) THEN
            EXECUTE format('SELECT to_revision, event FROM ONLY %I.%I WHERE {{is_own}}'
                           ' ORDER BY id DESC LIMIT 1', schema_name, history)
               INTO recorded, latest;
        END IF;
        IF recorded >= transaction_end AND recorded <> 'base' AND cardinality(present) > 0 THEN
            RAISE NOTICE 'schema "%" is at %: nothing to do from % to %', schema_name, recorded,
                wanted, transaction_end;
            RETURN;
        END IF;
        SELECT CASE count(*) WHEN 1 THEN 'table ' ELSE 'tables ' END
                   || string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname) AS tables,
               string_agg(format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', c.oid::regclass),
                          E'\n' ORDER BY c.relname) AS statements
          INTO forced
          FROM pg_class c
         WHERE c.relnamespace = schema_oid AND c.relkind IN ('r', 'p')
           AND (c.relname = ANY (names)
                OR c.relname IN (history, 'procrastinate_fetch_barrier'))
           AND row_security_active(c.oid);
        IF forced.tables IS NOT NULL THEN
            RAISE EXCEPTION 'row-level security is forced on %', forced.tables
                USING ERRCODE = 'PM010',
                    DETAIL = 'Policies apply to the owner, too, and may hide rows from a change.',
                    HINT = forced.statements;
        END IF;
        IF latest LIKE 'step %' THEN
            RAISE EXCEPTION 'a migration is under way in schema "%"', schema_name
                USING ERRCODE = 'PM012',
                    DETAIL = format('Its last recorded event is "%s".', latest),
                    HINT = 'Finish it with procrastinate_migrate() of the extension.';
        END IF;
        IF cardinality(present) > 0
           AND (recorded IS NULL OR (recorded = 'base' AND wanted = 'base')) THEN
            RAISE EXCEPTION 'schema "%" holds Procrastinate''s objects but no history of them',
                schema_name
                USING ERRCODE = 'PM005',
                    DETAIL = format('There is %s.', array_to_string(present[1:5], ', ')
                        || CASE WHEN cardinality(present) > 5
                                THEN format(' and %s more', cardinality(present) - 5) ELSE '' END),
                    HINT = CASE wanted WHEN 'base' THEN
                        'If they are Procrastinate''s, make a script that starts at their '
                        'revision, and run it: it says how to record that. If not, use another '
                        'schema.'
                    ELSE format(
                        E'If they are those of %s, record it, then run this script again:\n%s',
                        wanted,
                        format($stamp${{record_start}}$stamp$, schema_name, history, wanted)) END;
        END IF;
        recorded := coalesce(recorded, 'base');
        IF recorded <> wanted THEN
            RAISE EXCEPTION 'schema "%" is at %, but {{part}} starts at %',
                schema_name, recorded, wanted
                USING ERRCODE = 'PM009', HINT = format('Make a script that starts there: '
                    'SELECT procrastinate_sql(%L, schema => %L);',
                    recorded || ':' || script_end, schema_name);
        END IF;
        IF wanted <> 'base' AND cardinality(present) = 0 THEN
            RAISE EXCEPTION
                'schema "%" holds none of Procrastinate''s tables, but its history says %',
                schema_name, recorded
                USING ERRCODE = 'PM009';
        END IF;

        IF wanted <> 'base' AND current_setting('procrastinate_script.lock_jobs')::boolean THEN
            EXECUTE format('LOCK TABLE %I.procrastinate_jobs IN ACCESS EXCLUSIVE MODE',
                           schema_name);
        END IF;
    END LOOP;
    SELECT array_agg(o.name ORDER BY o.name) AS names, max(split_part(c, ':', 1)) AS revision
      INTO ahead
      FROM unnest(created) c
      JOIN (SELECT r.relname::text AS name FROM pg_class r WHERE r.relnamespace = schema_oid
            UNION
            SELECT t.typname FROM pg_type t WHERE t.typnamespace = schema_oid
            UNION
            SELECT r.relname || '.' || a.attname
              FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
             WHERE r.relnamespace = schema_oid AND r.relkind = 'r' AND NOT a.attisdropped
            UNION
            SELECT replace(replace(p.oid::regprocedure::text,
                                   schema_oid::regnamespace || '.', ''), ' ', '')
              FROM pg_proc p WHERE p.pronamespace = schema_oid) o
        ON o.name = split_part(c, ':', 2);
    IF ahead.revision IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" is at % by its history, but has objects of %',
            schema_name, recorded, ahead.revision
            USING ERRCODE = 'PM009',
                DETAIL = format('There is %s.', array_to_string(ahead.names[1:5], ', ')
                    || CASE WHEN cardinality(ahead.names) > 5
                            THEN format(' and %s more', cardinality(ahead.names) - 5)
                            ELSE '' END),
                HINT = format(E'Record the revision that another tool has brought it to, %s or '
                    'a later one, then make a script that starts there:\n%s', ahead.revision,
                    format($stamp${{record}}$stamp$, schema_name, history, ahead.revision));
    END IF;
    PERFORM set_config('procrastinate_script.is_done', 'off', true);
END
$check$;
SELECT current_setting('procrastinate_script.is_done') AS procrastinate_script_is_done \gset
\if :procrastinate_script_is_done
COMMIT;
\else
