-- Fails if the schema :schema has what head.sql does not have: rows, or privileges. Run by
-- scripts/facts after the last migration.
SELECT set_config('facts.schema', :'schema', false) \g /dev/null
DO $$
DECLARE
    place CONSTANT regnamespace := current_setting('facts.schema')::regnamespace;
    thing text;
    has_rows boolean;
BEGIN
    FOR thing IN SELECT format('%I.%I', place, relname) FROM pg_class
        WHERE relnamespace = place AND relkind = 'r' ORDER BY relname
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', thing) INTO has_rows;
        IF has_rows THEN
            RAISE 'the migrations leave rows in %, and head.sql has no rows', thing;
        END IF;
    END LOOP;
    SELECT what INTO thing FROM (
        SELECT relname FROM pg_class WHERE relnamespace = place AND relacl IS NOT NULL
        UNION ALL
        SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
         WHERE relnamespace = place AND attacl IS NOT NULL
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = place AND proacl IS NOT NULL
        UNION ALL
        SELECT typname FROM pg_type WHERE typnamespace = place AND typacl IS NOT NULL
        UNION ALL
        SELECT nspname FROM pg_namespace WHERE oid = place AND nspacl IS NOT NULL
        UNION ALL
        SELECT 'a default' FROM pg_default_acl WHERE defaclnamespace = place
    ) AS granted (what) LIMIT 1;
    IF thing IS NOT NULL THEN
        RAISE 'the migrations change privileges of %, and head.sql has no privileges', thing;
    END IF;
END $$;
