-- Records the revision of tables that have no history, if their catalog is exactly that of one;
-- else raises an error with the differences from the nearest. A template for the DO blocks of
-- scripts for psql, which have the variables schema_name, history and present, and the record
-- match. match.revision is the revision then.
--
-- {{create_history}} create_history.sql for format(): schema, table; does nothing if it is there
-- {{record}}         append_history.sql for format(): schema, table, event, revision
--
-- The setting procrastinate_script.catalog_check holds catalog_check.sql.

    EXECUTE 'SELECT c.revision, bool_and(c.exact) AS exact, count(c.problem) AS number,'
            ' (array_agg(concat_ws('' '', c.problem, c.kind, c.object)))[1:20] AS lines FROM ('
            || current_setting('procrastinate_script.catalog_check') || ') c GROUP BY c.revision'
       INTO match;
    -- Names of Procrastinate's on other objects are no installation.
    IF NOT match.exact OR match.revision = 'base' THEN
        RAISE EXCEPTION 'schema "%" holds Procrastinate''s objects but no history of them',
            schema_name
            USING ERRCODE = 'PM005',
                DETAIL = format(E'There is %s. Its catalog is nearest to %s, with %s:\n%s',
                    array_to_string(present[1:5], ', ')
                        || CASE WHEN cardinality(present) > 5
                                THEN format(' and %s more', cardinality(present) - 5) ELSE '' END,
                    match.revision,
                    match.number || CASE match.number WHEN 1 THEN ' difference'
                                                      ELSE ' differences' END,
                    array_to_string(match.lines, E'\n')
                        || CASE WHEN match.number > 20
                                THEN format(E'\nand %s more', match.number - 20) ELSE '' END),
                HINT = '-- If they are not Procrastinate''s, use another schema. Else correct the '
                    || 'differences, or record a revision as it is'
                    || format(E':\n%s',
                              format($record${{create_history}}{{record}}$record$, schema_name,
                                     history, 'stamp', match.revision));
    END IF;
    EXECUTE format($record${{record}}$record$, schema_name, history, 'adopt', match.revision);
    RAISE NOTICE 'schema "%" has no history; by its catalog it is exactly at %',
        schema_name, match.revision;
