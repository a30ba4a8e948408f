-- procrastinate_releases(), procrastinate_supports(), procrastinate_route(): which code works on
-- which schema, and how to get from one release to another without downtime.
\pset format unaligned
\pset null NULL
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA releases;
SET search_path = releases, public;

-- newest first, each with the revision that it expects and those that it works on
SELECT count(*) >= 95 AS at_least_95, count(*) = count(DISTINCT release) AS each_once,
       min(revision), max(revision) = :'head' AS up_to_head,
       bool_and(works_from <= revision) AS from_there,
       bool_and(revision <= works_to) AS up_to
  FROM procrastinate_releases();
SELECT bool_and(number > older) AS newest_first
  FROM (SELECT number, lead(number) OVER () AS older
          FROM procrastinate_releases() r, string_to_array(r.release, '.') parts,
               CAST(parts AS int[]) AS number) AS r;
SELECT release, revision, works_from, works_to >= '0038' AS works_on_0038
  FROM procrastinate_releases() WHERE release IN ('3.7.0', '3.8.1', '3.9.0');
SELECT * FROM procrastinate_releases() WHERE release ~ '^(0\.3|2\.15|3\.0)\.';
-- a release is a target: its revision
SELECT count(*)
  FROM procrastinate_releases() r, procrastinate_show(r.release) s
 WHERE r.revision IS DISTINCT FROM s.revision;

\echo ======== supports
SELECT supported, revision, works_from, works_to >= '0038' AS works_on_0038, advice
  FROM procrastinate_supports('3.9.0');
SELECT procrastinate_upgrade('0028');
SELECT * FROM procrastinate_supports('2.15.1');
SELECT supported, revision, works_from, works_to >= '0038' AS works_on_0038, advice
  FROM procrastinate_supports('v3.9.0', 'releases');
CALL procrastinate_migrate('3.9.0@pre', schema => 'releases');
SELECT supported, revision, works_from, works_to >= '0038' AS works_on_0038, advice
  FROM procrastinate_supports('3.9.0');
SELECT * FROM procrastinate_supports('2.15.1');

\echo ======== route
\pset format aligned
\pset border 1
CREATE SCHEMA releases_2_15;
SELECT procrastinate_upgrade('0028', 'releases_2_15');
-- The last revision that a release works on may rise with each new revision, from 0038 on.
CREATE FUNCTION pg_temp.reason(text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace($1, '(works on \d{4} to) (003[89]|00[4-9]\d)', '\1 0038 or later',
    'g') $$;
SELECT step, action, target, revision, pg_temp.reason(reason) AS reason
  FROM procrastinate_route('2.15.1', '3.9.0', 'releases_2_15');
-- from where this schema is, 0037
SELECT step, action, target, revision, pg_temp.reason(reason) AS reason
  FROM procrastinate_route('3.3.0', '3.9.0');
SELECT step, action, target, revision, pg_temp.reason(reason) AS reason
  FROM procrastinate_route('3.4.0', '3.9.0');
CALL procrastinate_migrate('0038');
SELECT step, action, target, revision, pg_temp.reason(reason) AS reason
  FROM procrastinate_route('3.4.0', '3.9.0');
SELECT step, action, target, revision, pg_temp.reason(reason) AS reason
  FROM procrastinate_route('3.9.0', '3.9.0');
-- planned where nothing is installed: from where the first release expects its schema
CREATE SCHEMA releases_none;
SELECT step, action, target, revision FROM procrastinate_route('2.15.1', '3.1.0', 'releases_none');

-- by an older release, where no newer one bridges the gap
SELECT step, action, target, revision FROM procrastinate_route('0.12.0', '0.15.0', 'releases_none');
-- a history that a newer version has written is told, and nothing guessed
CREATE SCHEMA releases_newer;
SELECT procrastinate_stamp('0038', verify => false, schema => 'releases_newer');
SELECT pg_temp.append_history('releases_newer', 2, 'upgrade', '0038', '9999', '9.9.9');
SET client_min_messages = notice;
SELECT supported, revision, works_from, works_to >= '0038' AS works_on_0038, advice
  FROM procrastinate_supports('3.9.0', 'releases_newer');
SELECT * FROM procrastinate_route('3.4.0', '3.9.0', 'releases_newer');
SET client_min_messages = warning;

\echo ======== refusals
\pset format unaligned
SELECT * FROM procrastinate_route('2.15.1', '3.9.0');
\echo :LAST_ERROR_SQLSTATE
CREATE SCHEMA releases_3_0;
SELECT procrastinate_upgrade('0032', 'releases_3_0');
SELECT * FROM procrastinate_route('3.0.2', '2.15.1', 'releases_3_0');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('99.0.0')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('3.8.0@pre')$$);
SELECT * FROM procrastinate_supports(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM procrastinate_route('3.9.0', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_route('', '3.8.0')$$);
SELECT * FROM procrastinate_supports('3.9.0', 'pg_catalog');
CREATE SCHEMA releases_found;
CREATE TABLE releases_found.procrastinate_jobs (id bigint);
SELECT * FROM procrastinate_supports('3.9.0', 'releases_found');
\echo :LAST_ERROR_SQLSTATE

DROP SCHEMA releases, releases_2_15, releases_none, releases_newer, releases_found,
    releases_3_0 CASCADE;
