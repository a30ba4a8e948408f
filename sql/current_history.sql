-- What procrastinate_current, _history, _pending and _heads tell at base, on the way, and at head.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
CREATE SCHEMA current_history;
SET search_path = current_history, public;

-- ---- at base: nothing is applied, everything is pending -------------------------------------------
SELECT * FROM procrastinate_current();
SELECT count(*), count(*) FILTER (WHERE is_applied), count(*) FILTER (WHERE is_current),
       count(applied_at), count(applied_by), count(duration)
  FROM procrastinate_history();
SELECT count(*), min(revision), max(revision) FROM procrastinate_pending();
SELECT * FROM procrastinate_heads();

-- the whole chain, newest first, with the releases that expect each revision
SELECT revision, down_revision, file, title, phase, releases, is_head FROM procrastinate_history();
-- newest first, oldest first, without an ORDER BY
SELECT string_agg(revision, ' ') FROM procrastinate_history('0007:0011');
SELECT string_agg(revision, ' ') FROM procrastinate_pending('0005');

-- ---- on the way -----------------------------------------------------------------------------------
SELECT procrastinate_upgrade('0030');
SELECT revision, is_head, file, title, applied_at <= clock_timestamp() AS applied,
       applied_by = current_user AS by_me, source
  FROM procrastinate_current();
SELECT revision, is_head, is_current, is_applied, applied_at IS NOT NULL AS has_time,
       applied_by = current_user AS by_me, duration >= interval '0' AS took
  FROM procrastinate_history('-3:0032');
SELECT revision, down_revision, phase, is_head, is_current, is_applied, applied_at, applied_by, duration
  FROM procrastinate_pending();
SELECT revision FROM procrastinate_pending('3.1.0@pre');
SELECT revision FROM procrastinate_pending('pre');
SELECT revision FROM procrastinate_pending('+1');
-- nothing is pending on the way to where it is, or to what lies behind
SELECT revision FROM procrastinate_pending('current');
SELECT revision FROM procrastinate_pending('0005');
SELECT revision, is_head, is_current, is_applied FROM procrastinate_heads();
SELECT revision, is_head, is_current, is_applied, applied_at IS NOT NULL AS has_time
  FROM procrastinate_show('current');

-- ---- at head, step by step and at once ------------------------------------------------------------
SELECT procrastinate_upgrade();
SELECT revision, is_head, file, title, source FROM procrastinate_current();
SELECT count(*) FROM procrastinate_pending();
SELECT count(*), count(*) FILTER (WHERE is_applied), count(applied_at), count(duration),
       string_agg(revision, ' ') FILTER (WHERE is_current)
  FROM procrastinate_history();

CREATE SCHEMA current_history_at_once;
SELECT procrastinate_upgrade(schema => 'current_history_at_once');
SELECT revision, is_head, source FROM procrastinate_current('current_history_at_once');
-- one event brought them all: the time it took is no migration's own
SELECT count(*), count(*) FILTER (WHERE is_applied), count(DISTINCT applied_at), count(duration)
  FROM procrastinate_history(schema => 'current_history_at_once');
SELECT revision, is_current, is_applied, applied_by = current_user AS by_me
  FROM procrastinate_history('0037:', 'current_history_at_once');

-- ---- which installation: the arguments, by position and by name -----------------------------------
SELECT count(*) FROM procrastinate_pending('head', 'current_history_at_once');
SELECT count(*) FROM procrastinate_pending(schema => 'current_history_at_once', target => '0001');
SELECT count(*) FROM procrastinate_history('base:0004', NULL);

-- ---- stepwise, with a commit after each -----------------------------------------------------------
CREATE SCHEMA current_history_migrate;
CALL procrastinate_migrate('0004', 'current_history_migrate');
CALL procrastinate_migrate(schema => 'current_history_migrate');
CALL procrastinate_migrate(schema => 'current_history_migrate');
SELECT revision, is_head, source FROM procrastinate_current('current_history_migrate');
SELECT count(*), count(DISTINCT applied_at), count(duration)
  FROM procrastinate_history(schema => 'current_history_migrate');
SELECT event, count(*), min(from_revision), max(from_revision), min(to_revision), max(to_revision)
  FROM procrastinate_log('current_history_migrate') WHERE event !~ '^step ' GROUP BY event;
SELECT event, to_revision FROM procrastinate_log('current_history_migrate') WHERE event ~ '^step 0024' ORDER BY id;

-- ---- in a query that would be planned for parallel workers ----------------------------------------
DO $$
BEGIN
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int >= 160000
                            THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'on', false);
END
$$;
SELECT revision, (SELECT count(*) FROM procrastinate_history()), (SELECT count(*) FROM procrastinate_log()),
       (SELECT count(*) FROM procrastinate_pending()), (SELECT revision FROM procrastinate_heads()),
       (SELECT title FROM procrastinate_show('0002')), length(procrastinate_migration_sql('0002')) > 0 AS sql,
       procrastinate_sql('0004:head') LIKE '-- %' AS script
  FROM procrastinate_current();
DO $$
BEGIN
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int >= 160000
                            THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END, 'off', false);
END
$$;

-- the columns and their types
SELECT p.proname, a.name, format_type(t.type, NULL) AS type
  FROM pg_proc p,
       unnest(p.proargnames, p.proallargtypes, p.proargmodes) WITH ORDINALITY AS a (name, type, mode, n),
       LATERAL (SELECT a.type) AS t (type)
 WHERE p.proname IN ('procrastinate_current', 'procrastinate_history') AND a.mode = 'o'
 ORDER BY p.proname COLLATE "C", a.n;

DROP SCHEMA current_history, current_history_at_once, current_history_migrate CASCADE;
