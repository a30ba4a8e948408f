-- On another server: how many installations the call would go through. A template.
--
-- {{extension}} schema of the extension, quoted
-- {{schemas}}   an array
SELECT count(*) || ' installations, ' || count(*) FILTER (WHERE is_head) || ' of them at head'
  FROM {{extension}}.procrastinate_installations
 WHERE may_change AND schema::text LIKE ANY ({{schemas}})
