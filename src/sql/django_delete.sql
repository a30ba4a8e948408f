-- Deletes rows of the app "procrastinate" from Django's migrations table. A template: {{table}} is
-- the table's name.
--
-- $1 names of the migrations, separated by blanks

DELETE FROM ONLY {{table}}
 WHERE app OPERATOR(pg_catalog.=) 'procrastinate'
   AND name OPERATOR(pg_catalog.=) ANY (pg_catalog.string_to_array($1, ' '))
