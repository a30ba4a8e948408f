-- Changes the id of a row of Alembic's version table. A template: {{table}} is the table's name.
--
-- $1 id before
-- $2 id after

UPDATE ONLY {{table}} SET version_num = $2 WHERE version_num OPERATOR(pg_catalog.=) $1
