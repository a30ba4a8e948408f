-- The text of each migration, by any name of it, and its checksum.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA show_sql;
SET search_path = show_sql, public;

SELECT revision, down_revision, file, title, phase, releases, is_head, is_current, is_applied,
       applied_at,
       applied_by, duration, left(sql, 2) AS begins, length(sha256) AS digits
  FROM procrastinate_show('0031');
-- every name gives the same
SELECT name,
       (SELECT revision FROM procrastinate_show(name)),
       procrastinate_migration_sql(name) = (SELECT sql FROM procrastinate_show('0032')) AS same
  FROM unnest(ARRAY['0032', '32', '03.01.00_01_pre_add_heartbeat.sql',
  '03.01.00_01_pre_add_heartbeat',
                    '03.01.00_01', 'procrastinate_0031', '3.1.0@pre', 'v3.1.0@pre', '0038-6',
                    '0030+2'])
       AS name;

-- all of them: a text, the same by both functions, and the checksum is that of the text
SELECT count(*) = :heads AS rows, count(DISTINCT s.sql) = :heads AS texts,
       count(DISTINCT s.sha256) = :heads AS checksums,
       bool_and(s.sha256 = encode(sha256(convert_to(s.sql, 'UTF8')), 'hex')) AS sums,
       bool_and(s.sql = procrastinate_migration_sql(h.revision)) AS same,
       bool_and(s.sql = procrastinate_migration_sql(h.file)) AS by_file,
       bool_and(s.sql ~ E'\n$') AS ends_with_newline, bool_and(s.sql !~ '[^\t\n -~]') AS plain,
       bool_and(length(s.sql) > 20) AS has_text
  FROM procrastinate_history_details() h, procrastinate_show(h.revision) s;
-- and the columns are those of the history
SELECT count(*)
  FROM procrastinate_history_details() h, procrastinate_show(h.revision) s
 WHERE (h.revision, h.down_revision, h.file, h.title, h.phase, h.releases, h.is_head, h.is_current,
 h.is_applied)
    IS DISTINCT FROM
       (s.revision, s.down_revision, s.file, s.title, s.phase, s.releases, s.is_head, s.is_current,
       s.is_applied);

-- none of them holds a statement that cannot run in a function or that ends the transaction
SELECT s.revision
  FROM procrastinate_history() h, procrastinate_show(h.revision) s
 WHERE s.sql ~* '^\s*(commit|rollback|begin\s*;|start transaction|vacuum|reindex)|concurrently';

-- base is no migration, and so on
\set VERBOSITY default
SELECT * FROM procrastinate_show('base');
\echo :LAST_ERROR_SQLSTATE
SELECT procrastinate_migration_sql('base');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_show('9999')$$);
SELECT procrastinate_migration_sql('03.01.00_');
\echo :LAST_ERROR_SQLSTATE

-- in a session whose search_path names no schema, names that do not count from current still work
SET search_path = '';
SELECT revision = :'head' AS at_head FROM public.procrastinate_show('head');
SELECT length(public.procrastinate_migration_sql('0001')) > 0;
SELECT revision = :'head' AS at_head, is_current, is_applied FROM public.procrastinate_heads();
-- nor does one that cannot hold an installation disturb them
SET search_path = information_schema;
SELECT revision = :'head' AS at_head FROM public.procrastinate_show('head');
SELECT length(public.procrastinate_migration_sql('0001')) > 0;
SELECT revision = :'head' AS at_head, is_current, is_applied FROM public.procrastinate_heads();
RESET search_path;
DROP SCHEMA show_sql CASCADE;
