-- Records the revision that the catalog matches exactly, if that is another one than the history's:
-- another tool has run migrations. A template for the DO blocks of scripts for psql, which have the
-- variables schema_name and history, and the record match.
--
-- {{recorded}} expression: the revision that the history records
-- {{record}}   append_history.sql for format(): schema, table, event, revision
--
-- The setting procrastinate_script.catalog_check holds catalog_check.sql. match.revision is the
-- revision then; NULL if the history's stands.

    EXECUTE 'SELECT max(c.revision) AS revision FROM ('
            || current_setting('procrastinate_script.catalog_check')
            || ') c HAVING bool_and(c.exact) AND max(c.revision) NOT IN (''base'', $1)'
       INTO match USING {{recorded}};
    IF match.revision IS NOT NULL THEN
        EXECUTE format($record${{record}}$record$, schema_name, history, 'adopt', match.revision);
        RAISE NOTICE 'the history of schema "%" says %, but its catalog is exactly that of %',
            schema_name, {{recorded}}, match.revision;
    END IF;
