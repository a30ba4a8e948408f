-- Refuses tables, types and functions of Procrastinate's names that no revision known here has: a
-- newer release may have created them. For the DO blocks of scripts for psql, which have the
-- variables schema_name, schema_oid and names, and the record unknown.
--
-- The setting procrastinate_migrate.verify decides as it does for the extension, which need not be
-- there: a client can set it by PGOPTIONS.

    SELECT string_agg(o.object, ', ' ORDER BY o.object) AS objects INTO unknown
      FROM (SELECT 'pg_class'::regclass AS class, c.oid, c.relname AS name,
                   'table ' || c.relname AS object
              FROM pg_class c
             WHERE c.relnamespace = schema_oid AND c.relkind IN ('r', 'p', 'f')
            UNION ALL
            SELECT 'pg_type'::regclass, t.oid, t.typname, 'type ' || t.typname
              FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
             WHERE t.typnamespace = schema_oid AND t.typtype <> 'm'
               AND (t.typrelid = 0 OR c.relkind = 'c')
            UNION ALL
            SELECT 'pg_proc'::regclass, p.oid, p.proname,
                   format('function %s(%s)', p.proname, oidvectortypes(p.proargtypes))
              FROM pg_proc p
             WHERE p.pronamespace = schema_oid) o
     WHERE o.name LIKE 'procrastinate\_%'
       AND o.name <> ALL (ARRAY['procrastinate_schema_history', 'procrastinate_fetch_barrier',
                                'procrastinate_events_fill_job_id_bigint'])
       AND o.name <> ALL (ARRAY(SELECT split_part(n, '(', 1) FROM unnest(names) n))
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0
                          AND d.deptype IN ('e', 'i'));
    IF unknown.objects IS NOT NULL THEN
        unknown.objects := format('There is %s.', left(unknown.objects, 500));
        CASE coalesce(current_setting('procrastinate_migrate.verify', true), '')
        WHEN 'off' THEN
            NULL;
        WHEN 'warn' THEN
            RAISE WARNING
                'schema "%" holds objects of Procrastinate''s names that no known revision has',
                schema_name
                USING DETAIL = unknown.objects;
        ELSE
            RAISE EXCEPTION
                'schema "%" holds objects of Procrastinate''s names that no known revision has',
                schema_name
                USING ERRCODE = 'PM009', DETAIL = unknown.objects,
                    HINT = 'If a newer release of Procrastinate has created them, make a script '
                        'with a newer version of procrastinate_migrate. If they are yours, rename '
                        'them, or set PGOPTIONS=''-c procrastinate_migrate.verify=off''.';
        END CASE;
    END IF;
