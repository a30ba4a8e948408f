-- A migration in an offline script. A template. Outside of the migration's own SQL, search_path
-- names the server's catalog only: no object of the schema is called by accident.
--
-- {{schema}} name of the schema, quoted as an identifier
-- {{sql}}    the migration

SET LOCAL search_path = {{schema}}, pg_temp;

{{sql}}
SET LOCAL search_path = pg_catalog, pg_temp;
