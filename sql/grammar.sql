-- Targets and ranges: every form of the grammar, and the revisions that it means.
\pset format unaligned
\pset null NULL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA grammar;
SET search_path = grammar, public;

-- A revision as the output shows it: relative to head for the last four, so that it stays the same
-- when a revision is added.
CREATE FUNCTION shown(name text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN name = revision THEN 'head'
                WHEN name::integer > revision::integer - 4
                THEN 'head' || name::integer - revision::integer
                ELSE name END
      FROM procrastinate_heads() $$;
-- The revision that a target means, by procrastinate_show(); or the error.
CREATE FUNCTION meaning(target text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT CASE WHEN target ~ 'head' THEN shown(revision) ELSE revision END
              FROM procrastinate_show(target));
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ': ' || sqlerrm;
END $$;
-- The revisions of a range: "first - last (count)"; or the error. From a fixed revision to head the
-- count is shown relative to head: (head-29).
CREATE FUNCTION holds(range text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT coalesce(shown(min(h.revision)) || ' - ' || shown(max(h.revision)), 'nothing')
                   || ' (' || CASE WHEN shown(max(h.revision)) = 'head'
                   AND shown(min(h.revision)) !~ 'head'
                              THEN 'head' || coalesce(nullif(count(*) - max(h.revision)::integer,
                              0)::text, '')
                              ELSE count(*)::text END || ')'
              FROM procrastinate_history(range) h);
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate || ': ' || sqlerrm;
END $$;
CREATE VIEW targets AS
SELECT n, target, meaning(target)
  FROM (VALUES
    -- head, heads; base; current
    (101, 'head'), (102, 'heads'), (103, 'base'), (104, 'current'),
    (105, 'HEAD'), (106, ' head'), (107, 'head '), (108, 'hea'), (109, 'head@1'),
    -- a revision: digits are a number, never a prefix
    (201, '0025'), (202, '25'), (203, '1'), (204, '38'), (205, '000000038'), (206, '0'),
    (207, '0000'),
    (208, '9999'), (209, '00'), (210, '002'), (211, '99999999999999999999'), (212, '25 '),
    (213, '2 5'),
    (214, '+25'), (215, '0x19'), (216, '25.0'),
    -- a file's name, with or without .sql; a unique prefix that has a _
    (301, '03.01.00_01_pre_add_heartbeat.sql'), (302, '03.01.00_01_pre_add_heartbeat'),
    (303, '03.01.00_01'), (304, '03.01.00_01_pre_add_heartbeat.sq'), (305, '03.01.00_0'),
    (306, '00.00.00_'), (307, '00.05.00_01_drop_started_at_column'), (308, '00.05.00_0'),
    (309, '03.01.00_'), (310, '03.01.00'), (311, '03.01'), (312, '03'), (313, '_'),
    (314, '03.01.00_01_pre_add_heartbeat.sql.sql'), (315, '03.01.00_01_PRE_add_heartbeat'),
    (316, '00.05.00_02_drop_started_at_column'),
    -- the zero-based id of Alembic packages
    (401, 'procrastinate_0000'), (402, 'procrastinate_0031'), (403, 'procrastinate_0037'),
    (404, 'procrastinate_9999'), (405, 'procrastinate_31'), (406, 'procrastinate_'),
    (407, 'procrastinate_00031'), (408, 'Procrastinate_0031'),
    -- a release, with or without v
    (501, '3.1.0'), (502, 'v3.1.0'), (503, '0.3.0'), (504, '0.22.0'), (505, '2.15.1'),
    (506, '3.9.0'),
    (507, '1.0.0'), (508, '2.0.0'), (509, '3.0.0'), (510, '3.1'), (511, '4.0.0'), (512, 'vv3.1.0'),
    (513, 'V3.1.0'), (514, '03.01.00'), (515, '3.1.0 '), (516, 'v'),
    -- what must be applied before a release's code
    (601, '3.1.0@pre'), (602, 'v3.1.0@pre'), (603, '3.0.0@pre'), (604, '3.2.0@pre'),
    (605, '3.3.0@pre'),
    (606, '3.4.0@pre'), (607, '2.15.1@pre'), (608, '3.1.0@post'), (609, '3.1.0@'), (610, '@pre'),
    (611, '0031@pre'), (612, '3.1.0@pre@pre'), (613, '9.9.9@pre'),
    -- up to the next post
    (701, 'pre'), (702, 'PRE'), (703, 'post'),
    -- relative
    (801, '+2'), (802, '0025+1'), (803, '25+1'), (804, 'head-1'),
    (808, 'head+0'), (809, 'head+1'), (810, 'base+1'),
    (813, 'base-1'), (814, 'current-1'), (815, 'current+1'), (816, '-1'), (817, '-9'), (818, '-99'),
    (819, '+99'), (820, '+0'), (821, '-0'), (822, '3.1.0-1'), (823, 'v3.1.0@pre+1'), (824, 'pre+1'),
    (825, '03.01.00_01_pre_add_heartbeat+1'), (826, 'procrastinate_0031-1'), (827, '0025+'),
    (828, '+'),
    (829, '-'), (830, '--1'), (831, '+-1'), (832, '0025+1+1'), (833, '0025+1-1'),
    (834, '+99999999999999999999'),
    (835, '-99999999999999999999'), (836, 'nothing+1'), (837, '0099-70'), (838, '+1.0'),
    (839, '0025 + 1'),
    -- no revisions at all
    (901, ''), (902, ' '), (903, ':'), (904, 'base:head'), (905, 'heads,base'), (906, '0025,0026'),
    (907, 'None'), (908, 'null'), (909, E'head\n'), (910, E'\n'), (911, '*'),
    (912, 'head; DROP TABLE x'),
    (913, $q$head' OR '1'='1$q$), (914, '%s%n%d'), (915, 'größer'), (916, '٢٥'),
    (917, '２５'), (918, '1e1')
  ) AS v (n, target)
 ORDER BY n;
CREATE VIEW ranges AS
SELECT n, range, holds(range)
  FROM (VALUES
    -- start:end, both included
    (101, 'base:head'), (102, '0025:0030'), (103, '25:30'), (104, '0030:0030'), (105, 'base:base'),
    (106, '0001:0001'), (107, 'base:0001'), (108, '0:5'), (109, 'heads:heads'),
    -- :end from base, start: to head
    (201, ':0005'), (202, '0030:'), (203, ':'), (204, ':base'), (205, 'head:'), (206, ':head'),
    (207, 'base:'),
    -- a negative start counts back from the end, a negative end from current
    (301, '-3:current'), (302, '-3:head'), (303, '-3:'), (304, '-3:0010'), (305, '-3:-1'),
    (306, ':-3'),
    (307, '-0:0010'), (308, 'current-3:current'), (309, '-1:base'),
    -- relative ends
    (401, 'current:+2'), (402, '+1:+2'), (403, 'current:'), (404, 'current:pre'),
    (405, 'head-2:head-1'),
    (406, 'base+1:base+3'), (407, '0025:+2'), (408, '+1:'),
    -- ends that overshoot are clamped
    (501, '-99:current'), (502, '0030:+99'), (503, 'head-99:head'), (504, ':head+99'),
    (505, 'base-1:0002'),
    (506, '-99999999999999999999:99999999999999999999'),
    (507, '-99999999999999999999:+99999999999999999999'),
    (508, '+99:'), (509, ':-99'),
    -- by every other name
    (601, '3.0.0:3.1.0'), (602, '3.0.0@pre:3.1.0@pre'), (603, 'v2.15.1:v3.0.0'),
    (604, 'procrastinate_0000:procrastinate_0001'), (605, '00.05.00_01:00.05.00_03'),
    (606, 'pre:head'),
    -- backwards
    (701, 'head:base'), (702, '0030:0025'), (703, 'current:base'), (704, '+2:current'),
    (705, 'head:'), (706, '3.1.0:3.0.0'),
    -- no ranges, or ends that are no revisions
    (801, ''), (802, 'head'), (803, '0025'), (804, '0025:0030:0035'), (805, '::'),
    (806, 'base:nowhere'),
    (807, 'nowhere:head'), (808, ' base:head'), (809, 'base : head'), (810, '0099:'),
    (811, ':0000'),
    (812, '-:head'), (813, '0025-0030'), (814, '0025..0030'), (815, E'base:head\n'),
    (816, 'größer:head')
  ) AS v (n, range)
 ORDER BY n;

\echo ======== at base
SELECT * FROM targets;
SELECT * FROM ranges;
-- as far as the chain goes from head and from base, and one migration further
SELECT meaning('head-' || :heads - 1) = '0001' AS the_first,
       replace(meaning('head-' || :heads), :'heads', 'N') AS base,
       replace(meaning('head-' || :heads + 1), (:heads + 1)::text, 'N') AS before_base,
       meaning('base+' || :heads) = :'head' AS head,
       replace(meaning('base+' || :heads + 1), (:heads + 1)::text, 'N') AS behind_head;

SELECT procrastinate_upgrade('0030');
\echo ======== at 0030: what differs from base
SELECT * FROM targets
 WHERE target ~ '^(current|pre)|^[-+]' OR n < 200 AND target IN ('head', 'base');
SELECT * FROM ranges
 WHERE range ~ 'current|pre|[-+]';

-- The same grammar in the other functions that take a target or a range.
SELECT string_agg(revision, ' ') FROM procrastinate_pending('3.2.0@pre');
SELECT string_agg(revision, ' ') FROM procrastinate_pending('+2');
SELECT split_part(procrastinate_sql('0030:3.1.0'), E'\n', 1);
SELECT pg_temp.named(split_part(procrastinate_sql('current:'), E'\n', 1));
SELECT split_part(procrastinate_sql('current:+2'), E'\n', 1);
SELECT procrastinate_migration_sql('v3.1.0@pre') = procrastinate_migration_sql('0032');
SELECT procrastinate_upgrade('current');
SELECT procrastinate_upgrade('+1');
SELECT procrastinate_upgrade('pre');
SELECT procrastinate_upgrade('3.2.0@pre');
SELECT procrastinate_upgrade('v3.2.0');
SELECT procrastinate_upgrade('procrastinate_0035');
SELECT procrastinate_upgrade('03.04.00_01_pre');
SELECT procrastinate_upgrade('current+1');
CALL pg_temp.upgrade_to_last_commit();
SELECT procrastinate_upgrade('heads') = :'head' AS at_head;
SELECT procrastinate_stamp('head-1', verify => false) = :'before_head' AS before_head;
SELECT procrastinate_stamp('-1', verify => false) = :'before_head' AS before_head;
SELECT shown(procrastinate_stamp('-2', verify => false));

-- A target has at most 128 bytes.
SELECT meaning(repeat('0', 126) || '25'), octet_length(repeat('0', 126) || '25');
SELECT meaning(repeat('0', 127) || '25');
SELECT holds(repeat('0', 60) || '25:' || repeat('0', 60) || '27');
SELECT holds(repeat('0', 125) || '25:');
DROP SCHEMA grammar CASCADE;
