-- The view procrastinate_installations: all schemas of a database that hold tables of
-- Procrastinate's names, without a look at the catalog. Other tests have schemas here, too.
-- It needs a superuser.
SELECT current_setting('is_superuser') = 'off' AS skip \gset
\if :skip
\quit
\endif
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
SELECT revision AS head FROM procrastinate_heads() \gset
CREATE ROLE list_owner;
CREATE ROLE list_reader;
CREATE ROLE list_stranger;

-- at head, of a role
CREATE SCHEMA list_head AUTHORIZATION list_owner;
SELECT procrastinate_upgrade('head', schema => 'list_head') = :'head' AS is_head;
SET search_path = list_head;
INSERT INTO procrastinate_jobs (queue_name, task_name)
SELECT 'queue', 'task' FROM generate_series(1, 25);
ANALYZE procrastinate_jobs;
RESET search_path;
-- behind
CREATE SCHEMA "list ""Old""";
SELECT procrastinate_upgrade('0010', schema => 'list "Old"');
-- no history
CREATE SCHEMA list_no_history;
SELECT procrastinate_upgrade('0010', schema => 'list_no_history');
DROP TABLE list_no_history.procrastinate_schema_history;
-- a history alone: base
CREATE SCHEMA list_empty;
SELECT procrastinate_stamp('base', schema => 'list_empty');
-- what is left of one
CREATE SCHEMA list_remains;
CREATE TABLE list_remains.procrastinate_events (id int);
-- a table that only has the history's name
CREATE SCHEMA list_other;
CREATE TABLE list_other.procrastinate_schema_history (id int);
-- the history of a later version
CREATE SCHEMA list_later;
SELECT procrastinate_upgrade('0010', schema => 'list_later');
UPDATE list_later.procrastinate_schema_history SET to_revision = '9999' WHERE to_revision = '0010';
-- no installation
CREATE SCHEMA list_none;
CREATE TABLE list_none.jobs (id int);
CREATE VIEW list_none.procrastinate_jobs AS SELECT * FROM list_none.jobs;
CREATE TEMP TABLE procrastinate_jobs (id int);

CREATE VIEW list AS
SELECT schema, owner::text = current_setting('list.owner', true) AS is_own,
       replace(revision, (SELECT h.revision FROM procrastinate_heads() h), 'head') AS revision,
       is_head, source, under_way_since IS NOT NULL AS under_way, jobs, may_change
  FROM procrastinate_installations WHERE schema::text ~ 'list';
GRANT SELECT ON list TO PUBLIC;
SELECT set_config('list.owner', current_user, false) = current_user AS is_set;
SELECT * FROM list;

-- as other roles
GRANT USAGE ON SCHEMA list_head TO list_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA list_head TO list_reader;
SET list.owner = 'list_owner';
SET ROLE list_owner;
SELECT schema, is_own, revision, source, may_change FROM list WHERE schema::text ~ 'head|Old';
SET ROLE list_reader;
SELECT schema, revision, jobs, may_change FROM list WHERE schema::text ~ 'head|Old';
SET ROLE list_stranger;
SELECT schema, revision, is_head, source, may_change FROM list;
RESET ROLE;

DROP VIEW list;
DROP SCHEMA list_head, "list ""Old""", list_no_history, list_empty, list_remains, list_other,
    list_later, list_none CASCADE;
DROP ROLE list_owner, list_reader, list_stranger;
