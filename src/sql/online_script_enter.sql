-- Begins a try of an online script: checks, locks the history, and reads how far the installation
-- has come. A template; the code of a DO block in a setting.
--
-- {{lock_history}}   script_lock_history.sql
-- {{check_policies}} script_check_policies.sql
-- {{last_position}}  position once head is complete
-- {{is_own}}         condition that a row of the history is this database's
--
-- Sets procrastinate_script.position, and procrastinate_script.latest to the last event. Raises an
-- error if a step is missing before the one that is about to run.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    names CONSTANT text[] := string_to_array(current_setting('procrastinate_script.names'), ' ');
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    after CONSTANT int := current_setting('procrastinate_script.after')::int;
    history CONSTANT text := 'procrastinate_schema_history';
    history_oid oid;
    recorded text;
    latest text;
    place int[];
    forced record;
BEGIN
    IF schema_oid IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', schema_name
            USING ERRCODE = '3F000', HINT = format('CREATE SCHEMA %I;', schema_name);
    END IF;
{{lock_history}}    -- Keep the schema's name until the end. Only a superuser can.
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.oid = schema_oid FOR KEY SHARE;
    END IF;
    -- Until now a session could add a trigger to the history.
    EXECUTE current_setting('procrastinate_script.check_role');
{{check_policies}}
    EXECUTE format('SELECT to_revision, event FROM ONLY %I.%I WHERE {{is_own}}'
                   ' ORDER BY id DESC LIMIT 1', schema_name, history)
       INTO recorded, latest;
    IF latest ~ '^step \d{4}\.\d+(, -?\d+ of -?\d+)?$' THEN
        place := ARRAY[substr(latest, 6, 4)::int, substring(latest FROM '\.(\d{1,4})')::int];
    ELSIF recorded IS NULL OR recorded = 'base' THEN
        place := '{1,0}';
    ELSIF recorded ~ '^\d{4}$' AND latest NOT LIKE 'step %' THEN
        place := ARRAY[recorded::int + 1, 0];
    END IF;
    IF place IS NULL OR place > '{{last_position}}' THEN
        RAISE EXCEPTION 'the history of schema "%" has a revision that this script does not know',
            schema_name
            USING ERRCODE = 'PM006', DETAIL = format('Its last event is "%s", to revision "%s".',
                left(latest, 100), left(recorded, 100));
    END IF;
    PERFORM set_config('procrastinate_script.position', place::text, false);
    PERFORM set_config('procrastinate_script.latest', coalesce(latest, ''), true);
    IF place < ARRAY[step[1], after] THEN
        RAISE EXCEPTION 'schema "%" is not at the step before %', schema_name,
            current_setting('procrastinate_script.title')
            USING ERRCODE = 'PM009',
                DETAIL = format('The last event in its history is %s.',
                                coalesce('"' || latest || '" to ' || recorded, 'missing')),
                HINT = 'Run the script from its begin.';
    END IF;
END
