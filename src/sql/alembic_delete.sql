-- Deletes a row of Alembic's version table. A template: {{table}} is the table's name.
--
-- $1 id of the row

DELETE FROM ONLY {{table}} WHERE version_num OPERATOR(pg_catalog.=) $1
