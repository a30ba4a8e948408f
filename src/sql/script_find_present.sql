-- Sets `present` to the names of Procrastinate's tables and types in the schema, tables first. For
-- the DO blocks of scripts for psql, which have the variables schema_oid and names.

    present := ARRAY(SELECT o.name
        FROM (SELECT c.relname AS name, c.relnamespace AS schema, c.relkind <> 'r' AS rank
                FROM pg_class c
              UNION ALL
              SELECT t.typname, t.typnamespace, true FROM pg_type t WHERE t.typrelid = 0) o
       WHERE o.schema = schema_oid AND o.name = ANY (names) ORDER BY o.rank, o.name);
