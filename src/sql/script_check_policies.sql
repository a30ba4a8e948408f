-- Refuses row-level security that applies to the owner, too. For the DO blocks of scripts for psql,
-- which have the variables schema_oid, names and history, and the record forced.

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
