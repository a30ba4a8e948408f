-- Releases that this version does not know: later patch releases, and what is newer.
\pset format unaligned
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS procrastinate_migrate;
\getenv abs_srcdir PG_ABS_SRCDIR
\set head_sql :abs_srcdir '/test/sql/head.sql'
\i :head_sql
CREATE SCHEMA newer;
SET search_path = newer, public;

-- a minor version is its newest patch release
SELECT (procrastinate_show('3.7@pre')).revision, (procrastinate_show('3.3')).revision;
-- a later patch release
SELECT revision FROM procrastinate_show('3.7.99@pre');
SELECT revision FROM procrastinate_show('3.3.99');
SELECT revision FROM procrastinate_show('3.3.99-1');
SELECT works_from FROM procrastinate_supports('3.7.99');
SELECT min(revision) FROM procrastinate_history('3.3.99:3.7.99');
SELECT length(procrastinate_sql('3.3.99:3.7.99')) = length(procrastinate_sql('3.3:3.7')) AS same;
SELECT procrastinate_upgrade('3.7.99@pre');
SELECT count(*) > 0 AS has_steps FROM procrastinate_route('3.6.0', '3.7.99');
-- what is newer, and what @pre goes with
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('3.999.0@pre')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_plan('4.0')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('4.0.0')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('0030@pre')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('2.15.99')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('3.999.0rc1')$$);
SELECT pg_temp.refusal($$SELECT procrastinate_upgrade('3.8.0.post1@pre')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('2.15.99')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('2.99.0')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_supports('3.7.99@pre')$$);
SELECT pg_temp.refusal($$SELECT * FROM procrastinate_route('3.7.0', '3.8.0@pre')$$);
DROP SCHEMA newer CASCADE;
