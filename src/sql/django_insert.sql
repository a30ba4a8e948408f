-- Inserts rows of the app "procrastinate" into Django's migrations table, in the order of their
-- names. A template: {{table}} is the table's name.
--
-- $1 names of the migrations, separated by blanks

INSERT INTO {{table}} (app, name, applied)
SELECT 'procrastinate', one.name, pg_catalog.now()
  FROM pg_catalog.string_to_table($1, ' ') WITH ORDINALITY AS one(name, place)
 ORDER BY one.place
