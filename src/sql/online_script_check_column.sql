-- Refuses what keeps 0024 from replacing procrastinate_events.job_id. The code of a DO block in a
-- setting.
--
-- {{column_replacement}} column_replacement.sql
-- {{batches}}            number of the step that changes the rows

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    place CONSTANT int[] := current_setting('procrastinate_script.position')::int[];
    findings text;
    query text := $findings$
SELECT string_agg(upper(left(f.line, 1)) || substr(f.line, 2), E'\n') FROM (
{{column_replacement}}) f (line)$findings$;
BEGIN
    IF current_setting('server_version_num')::int < 150000 THEN
        -- Publications have neither columns nor schemas yet.
        query := replace(replace(query, 'r.prpubid, r.prattrs,',
                                 'r.prpubid, null::int2vector as prattrs,'),
                         'pg_publication_namespace s',
                         '(select null::oid as pnpubid, null::oid as pnnspid) s');
    END IF;
    EXECUTE query
       INTO findings
      USING (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name),
            place < '{24,{{batches}}}', place < '{24,1}';
    IF findings IS NOT NULL THEN
        RAISE EXCEPTION
            'cannot replace column procrastinate_events.job_id while clients work'
            USING ERRCODE = 'PM009', DETAIL = findings,
                HINT = 'Drop or validate these objects, and create them again when the schema is '
                    'at 0024.';
    END IF;
END
