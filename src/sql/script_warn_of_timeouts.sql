-- Warns if a timeout of the session may end a script, for the DO blocks of scripts for psql, which
-- have the variables schema_oid, names and time_limit.
--
-- {{settings}}  names of the settings, as literals
--
-- A statement of a script may go through a whole table. 5 MB a second was measured for the batches
-- of an online script beside clients. Twice that time has to be left.

    FOR time_limit IN
        SELECT s.name, current_setting(s.name) AS value, t.size
          FROM pg_settings s
         CROSS JOIN (SELECT sum(pg_table_size(c.oid)) AS size
                       FROM pg_class c
                      WHERE c.relnamespace = schema_oid AND c.relkind = 'r'
                        AND c.relname = ANY (names)) t
         WHERE s.name IN ({{settings}}) AND s.setting <> '0'
           AND t.size / 5000000.0 * 2 > s.setting::bigint / 1000.0
    LOOP
        RAISE WARNING '% may end the script before it is done', time_limit.name
            USING DETAIL = format('%s is %s, and the tables have %s.', time_limit.name,
                                  time_limit.value, pg_size_pretty(time_limit.size)),
                HINT = format('Before the script, in its session: SET %s = 0;', time_limit.name);
    END LOOP;
