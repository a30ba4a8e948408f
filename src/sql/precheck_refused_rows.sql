-- Template: rows that a CHECK constraint will refuse.
--
-- {{table}} the table, {{condition}} the condition of the constraint
--
-- Returns no row if there are none, else one text: "rows (3), for example id 1, 2, 3".

SELECT 'rows (' || count(*) || '), for example id '
       || string_agg(bad.id::text, ', ') FILTER (WHERE bad.place <= 3)
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS place
          FROM {{table}}
         WHERE ({{condition}}) IS FALSE) bad
HAVING count(*) > 0
