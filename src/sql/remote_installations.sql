-- On another server: how many installations the call would go through. A template.
--
-- {{extension}} schema of the extension, quoted
-- {{schemas}}   an array
SELECT format('installations: %s, at head: %s', count(*), count(*) FILTER (WHERE is_head))
  FROM {{extension}}.procrastinate_installations
 WHERE may_change AND schema::text LIKE ANY ({{schemas}})
