-- procrastinate_current, _history, _pending and _heads: rows at base, in between, and at head.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA current_history;
SET search_path = current_history, public;

-- ---- at base: nothing is applied, everything is pending -----------------------------------------
SELECT * FROM procrastinate_current();
SELECT count(*) = :heads AS all_of_them, count(*) FILTER (WHERE is_applied),
       count(*) FILTER (WHERE is_current),
       count(applied_at), count(applied_by), count(duration)
  FROM procrastinate_history_details();
SELECT count(*) = :heads AS all_of_them, min(revision), max(revision) = :'head' AS up_to_head
  FROM procrastinate_pending();
SELECT count(*), bool_and(h = m) AS last_of_history
  FROM procrastinate_heads() h, procrastinate_history_details('head:head') m;

-- the whole chain, newest first, with the releases that expect each revision
-- (up to 0037: the releases that expect the last may become more)
SELECT revision, down_revision, file, title, phase, releases, is_head
  FROM procrastinate_history_details(':0037');
SELECT down_revision, file, title, phase, releases ~ '^3\.4\.0 - ' AS releases
  FROM procrastinate_history_details('0038:0038');
SELECT string_agg(revision, ' ') FROM procrastinate_history_details()
 WHERE is_head AND revision <> :'head';
SELECT bool_and(is_head) FROM procrastinate_history_details('head:head');
-- newest first, oldest first, without an ORDER BY
SELECT string_agg(revision, ' ') FROM procrastinate_history('0007:0011');
SELECT string_agg(revision, ' ') FROM procrastinate_pending('0005');

-- ---- on the way ---------------------------------------------------------------------------------
SELECT procrastinate_upgrade('0030');
SELECT revision, is_head, applied_at <= clock_timestamp() AS applied,
       applied_by = current_user AS by_me, source
  FROM procrastinate_current();
SELECT revision, is_head, is_current, is_applied, applied_at IS NOT NULL AS has_time,
       applied_by = current_user AS by_me, duration >= interval '0' AS took
  FROM procrastinate_history_details('-3:0032');
SELECT * FROM procrastinate_pending('0037');
SELECT revision, title, is_applied, applied_at IS NOT NULL AS has_time
  FROM procrastinate_history('0029:0032');
SELECT count(*) = :heads - 30 AS all_after_0030 FROM procrastinate_pending();
SELECT revision FROM procrastinate_pending('3.1.0@pre');
SELECT revision FROM procrastinate_pending('pre');
SELECT revision FROM procrastinate_pending('+1');
-- nothing is pending on the way to where it is, or to what lies behind
SELECT revision FROM procrastinate_pending('current');
SELECT revision FROM procrastinate_pending('0005');
SELECT revision = :'head' AS at_head, is_head, is_current, is_applied FROM procrastinate_heads();
SELECT revision, is_head, is_current, is_applied, applied_at IS NOT NULL AS has_time
  FROM procrastinate_show('current');

-- ---- at head, step by step and at once ----------------------------------------------------------
CALL pg_temp.upgrade_to_last_commit();
SELECT procrastinate_upgrade() = :'head' AS at_head;
SELECT revision = :'head' AS at_head, is_head, source FROM procrastinate_current();
SELECT count(*) FROM procrastinate_pending();
SELECT count(*) = :heads AS rows, count(*) FILTER (WHERE is_applied) = :heads AS applied,
       count(applied_at) = :heads AS times, count(duration) = :heads AS durations,
       string_agg(revision, ' ') FILTER (WHERE is_current) = :'head' AS at_head
  FROM procrastinate_history_details();

CREATE SCHEMA current_history_at_once;
SELECT procrastinate_upgrade(schema => 'current_history_at_once') = :'head' AS at_head;
SELECT revision = :'head' AS at_head, is_head, source
  FROM procrastinate_current('current_history_at_once');
-- one event brought them all: the time it took is no migration's own
SELECT count(*) = :heads AS rows, count(*) FILTER (WHERE is_applied) = :heads AS applied,
       count(DISTINCT applied_at), count(duration)
  FROM procrastinate_history_details(schema => 'current_history_at_once');
SELECT pg_temp.named(revision) AS revision, is_current, is_applied,
       applied_by = current_user AS by_me
  FROM procrastinate_history_details('head-1:', 'current_history_at_once');

-- ---- which installation: the arguments, by position and by name ---------------------------------
SELECT count(*) FROM procrastinate_pending('head', 'current_history_at_once');
SELECT count(*) FROM procrastinate_pending(schema => 'current_history_at_once', target => '0001');
SELECT count(*) FROM procrastinate_history('base:0004', NULL);

-- ---- stepwise, with a commit after each ---------------------------------------------------------
CREATE SCHEMA current_history_migrate;
CALL procrastinate_migrate('0004', 'current_history_migrate');
CALL procrastinate_migrate(schema => 'current_history_migrate');
CALL procrastinate_migrate(schema => 'current_history_migrate');
SELECT revision = :'head' AS at_head, is_head, source
  FROM procrastinate_current('current_history_migrate');
SELECT count(*) = :heads AS rows, count(DISTINCT applied_at) = :heads AS times,
       count(duration) = :heads AS durations
  FROM procrastinate_history_details(schema => 'current_history_migrate');
SELECT event, count(*) = :heads AS rows, min(from_revision), max(from_revision), min(to_revision),
       max(to_revision) = :'head' AS to_head
  FROM procrastinate_log('current_history_migrate') WHERE event !~ '^step ' GROUP BY event;
SELECT event, to_revision FROM procrastinate_log('current_history_migrate')
  WHERE event ~ '^step 0024' ORDER BY id;

-- ---- in a query that would be planned for parallel workers --------------------------------------
DO $$
BEGIN
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int >= 160000
                            THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'on',
                            false);
END
$$;
SELECT revision = :'head' AS at_head, (SELECT count(*)
  FROM procrastinate_history()) = :heads AS history,
       (SELECT count(*) FROM procrastinate_log()) = :heads AS log,
       (SELECT count(*) FROM procrastinate_pending()),
       (SELECT revision FROM procrastinate_heads()) = :'head' AS heads,
       (SELECT title FROM procrastinate_show('0002')),
       length(procrastinate_migration_sql('0002')) > 0 AS sql,
       procrastinate_sql('0004:head') LIKE '-- %' AS script
  FROM procrastinate_current();
DO $$
BEGIN
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int >= 160000
                            THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'off',
                            false);
END
$$;

-- the columns and their types
SELECT p.proname, a.name, format_type(t.type, NULL) AS type
  FROM pg_proc p,
       unnest(p.proargnames, p.proallargtypes, p.proargmodes) WITH
       ORDINALITY AS a (name, type, mode, n),
       LATERAL (SELECT a.type) AS t (type)
 WHERE p.proname IN ('procrastinate_current', 'procrastinate_history') AND a.mode = 'o'
 ORDER BY p.proname COLLATE "C", a.n;

DROP SCHEMA current_history, current_history_at_once, current_history_migrate CASCADE;
