-- Template: rows that a unique index will refuse because others are alike.
--
-- {{columns}} the columns of the index, as text for a literal
-- {{values}} the values that they will have: a column, or the default of one that will be added
-- {{table}} the table, {{condition}} the condition of the index
--
-- Returns no row if there are none, else one text: "duplicates (3), for example (lock) = (a)".

SELECT 'duplicates (' || count(*) || '), for example ({{columns}}) = '
       || left(translate((array_agg(same.value))[1], E'\n\r\t', '   '), 100)
  FROM (SELECT ROW({{values}})::text AS value
          FROM {{table}}
         WHERE {{condition}} AND (ROW({{values}}) IS NOT NULL)
         GROUP BY {{values}}
        HAVING count(*) > 1
         ORDER BY 1) same
HAVING count(*) > 0
