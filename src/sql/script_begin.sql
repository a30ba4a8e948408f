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
-- {{check_role}}       script_check_role.sql
-- {{lock_history}}     script_lock_history.sql
-- {{find_present}}     script_find_present.sql
-- {{check_policies}}   script_check_policies.sql
-- {{is_own}}           condition that a row of the history is this database's
-- {{check}}            sets procrastinate_script.catalog_check to catalog_check.sql
-- {{adopt}}            script_adopt.sql
-- {{check_unknown}}    script_check_unknown.sql
-- {{warn_of_timeouts}} script_warn_of_timeouts.sql
-- {{follow_catalog}}   script_follow_catalog.sql
-- {{is_first}}         on in the first transaction of a script, else off
-- {{record}}           append_history.sql for format(): schema, table, event, revision
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
SET LOCAL quote_all_identifiers = off;
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
SET LOCAL procrastinate_script.is_first = '{{is_first}}';
SET LOCAL procrastinate_script.names = '{{names}}';
SET LOCAL procrastinate_script.created = '{{created}}';
{{check}}DO $check$
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
    unknown record;
    time_limit record;
    match record;
BEGIN
    IF schema_oid IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema_name
            USING ERRCODE = '3F000', HINT = format('CREATE SCHEMA %I;', schema_name);
    END IF;
    FOR pass IN 1 .. 2 LOOP
{{check_role}}        EXIT WHEN pass = 2;

{{lock_history}}        -- Until now a session could add a trigger to the history.
{{check_role}}        -- Keep the schema's name until the end. Only a superuser can.
        IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
            PERFORM FROM pg_namespace n WHERE n.oid = schema_oid FOR KEY SHARE;
        END IF;
{{find_present}}        IF history_oid IS NOT NULL AND NOT row_security_active(history_oid) THEN
            EXECUTE format('SELECT to_revision, event FROM ONLY %I.%I WHERE {{is_own}}'
                           ' ORDER BY id DESC LIMIT 1', schema_name, history)
               INTO recorded, latest;
        END IF;
        recorded := coalesce(recorded, 'base');
        IF recorded = 'base' OR recorded < transaction_end THEN
{{check_policies}}            IF latest LIKE 'step %' THEN
                RAISE EXCEPTION 'a migration is under way in schema "%"', schema_name
                    USING ERRCODE = 'PM012',
                        DETAIL = format('Its last recorded event is "%s".', latest),
                        HINT = 'Finish it with procrastinate_migrate() of the extension, or with '
                            'a script made by procrastinate_sql() with online => true.';
            END IF;
{{check_unknown}}            IF cardinality(present) > 0 AND recorded = 'base' THEN
{{adopt}}                recorded := match.revision;
            ELSIF cardinality(present) > 0
                  AND current_setting('procrastinate_script.is_first')::boolean THEN
{{follow_catalog}}                recorded := coalesce(match.revision, recorded);
            END IF;
        END IF;
        IF recorded <> 'base' AND recorded >= transaction_end AND cardinality(present) > 0 THEN
            RAISE NOTICE 'schema "%" is at %: nothing to do from % to %', schema_name, recorded,
                wanted, transaction_end;
            RETURN;
        END IF;
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
        -- From base there are no rows yet.
        IF wanted <> 'base' THEN
{{warn_of_timeouts}}        END IF;

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
                    format($stamp${{record}}$stamp$, schema_name, history, 'stamp',
                           ahead.revision));
    END IF;
    PERFORM set_config('procrastinate_script.is_done', 'off', true);
END
$check$;
SELECT current_setting('procrastinate_script.is_done') AS procrastinate_script_is_done \gset
\if :procrastinate_script_is_done
COMMIT;
\else
