-- Records in the history what a try of an online script has done: the event in the setting
-- procrastinate_script.event, or that the step is complete, and with the last one its migration.
-- The code of a DO block in a setting.
--
-- {{append}}  append_history.sql for format(): schema, table; with parameters: event, revision
--             before, revision after, duration
-- {{is_own}}  condition that a row of the history is this database's

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    history CONSTANT text := 'procrastinate_schema_history';
    step CONSTANT int[] := current_setting('procrastinate_script.step')::int[];
    revision CONSTANT text := lpad(step[1]::text, 4, '0');
    before CONSTANT text :=
        CASE step[1] WHEN 1 THEN 'base' ELSE lpad((step[1] - 1)::text, 4, '0') END;
    is_complete CONSTANT boolean := current_setting('procrastinate_script.event') = '';
    is_last CONSTANT boolean :=
        is_complete AND step[2] = current_setting('procrastinate_script.steps')::int;
    what CONSTANT text :=
        CASE WHEN is_last THEN 'upgrade'
             WHEN is_complete THEN format('step %s.%s', revision, step[2])
             ELSE current_setting('procrastinate_script.event') END;
    after CONSTANT text := CASE WHEN is_last THEN revision ELSE before END;
    began timestamp with time zone := current_setting('procrastinate_script.began');
    earlier timestamp with time zone;
    is_recorded boolean;
BEGIN
    IF is_last THEN
        -- The migration's duration counts from its first step, which another run may have done.
        EXECUTE format('SELECT min(h.applied_at - h.duration) FROM ONLY %1$I.%2$I h'
                       ' WHERE {{is_own}} AND h.event LIKE $1 AND h.id > coalesce('
                       '(SELECT max(o.id) FROM ONLY %1$I.%2$I o'
                       ' WHERE {{is_own}} AND o.event NOT LIKE ''step %%''), 0)',
                       schema_name, history)
           INTO earlier USING 'step ' || revision || '.%';
        began := least(earlier, current_setting('procrastinate_script.migration_began')
                                    ::timestamp with time zone);
    END IF;
    EXECUTE format($append${{append}}$append$, schema_name, history)
      USING what, before, after, clock_timestamp() - began;
    -- A trigger can keep the row out, or change it.
    EXECUTE format('SELECT event = $1 AND to_revision = $2 FROM ONLY %I.%I WHERE {{is_own}}'
                   ' ORDER BY id DESC LIMIT 1', schema_name, history)
       INTO is_recorded USING what, after;
    IF is_recorded IS NOT TRUE THEN
        RAISE EXCEPTION 'could not record "%" in the history', what USING ERRCODE = '55000';
    END IF;
    IF is_complete THEN
        PERFORM set_config('procrastinate_script.position',
                           (CASE WHEN is_last THEN ARRAY[step[1] + 1, 0] ELSE step END)::text,
                           false);
    END IF;
    IF is_last THEN
        PERFORM pg_notify('procrastinate_schema', revision || ' ' || schema_name);
        RAISE NOTICE '% took % ms', revision,
            round((1000 * extract(epoch FROM clock_timestamp() - began))::numeric, 1);
    END IF;
END
