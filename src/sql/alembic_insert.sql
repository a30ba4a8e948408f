-- Inserts a row into Alembic's version table. A template: {{table}} is the table's name.
--
-- $1 id

INSERT INTO {{table}} (version_num) VALUES ($1)
