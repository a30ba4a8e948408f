\set ECHO none
-- The revision at the end of the chain, for the tests in sql/: their output must not show its
-- number, so that a new revision changes no expected file. A test includes this file by:
--
--     \getenv abs_srcdir PG_ABS_SRCDIR
--     \set head_sql :abs_srcdir '/test/sql/head.sql'
--     \i :head_sql
--
-- CALL pg_temp.upgrade_to_last_commit(schema) upgrades an installation to the last revision from
-- which one transaction reaches the head, with a commit wherever the error PM007 asks for one.
--
-- Variables: head and before_head are names of revisions (four digits), heads is the number of
-- revisions, newest_release the last release.
-- pg_temp.named(text) replaces these names in a text by the words head, before_head and
-- newest_release. pg_temp.append_history() writes a row of this database.
-- pg_temp.refusal(statement) runs a statement, which must fail, and returns SQLSTATE, message,
-- DETAIL and HINT, with these names replaced. It cannot run procedures that commit.
SELECT revision AS head, down_revision AS before_head, revision::integer AS heads
  FROM procrastinate_heads() \gset
SELECT release AS newest_release, replace(release, '.', '\.') AS newest_release_pattern
  FROM procrastinate_releases() LIMIT 1 \gset
SELECT format($create$
CREATE FUNCTION pg_temp.named(t text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(t, '\m%s\M', 'head', 'g'),
        '\m%s\M', 'before_head', 'g'), '\m%s\M', 'newest_release', 'g') $$
$create$, :'head', :'before_head', :'newest_release_pattern') \gexec
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN pg_temp.named(concat_ws(E'\n', sqlstate || ': ' || sqlerrm,
        'DETAIL:  ' || nullif(detail, ''), 'HINT:  ' || nullif(hint, '')));
END $$;
CREATE FUNCTION pg_temp.append_history(
    schema text, id bigint, event text, from_revision text, to_revision text, version text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.procrastinate_schema_history (system_identifier, database_oid,'
        ' id, event, from_revision, to_revision, duration, version)'
        ' SELECT s.system_identifier, d.oid, $1, $2, $3, $4, interval ''1 s'', $5'
        ' FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()', schema)
        USING id, event, from_revision, to_revision, version;
END $$;
CREATE PROCEDURE pg_temp.upgrade_to_last_commit(
    schema regnamespace DEFAULT quote_ident(current_schema())::regnamespace)
LANGUAGE plpgsql AS $$
DECLARE
    advice text;
BEGIN
    LOOP
        BEGIN
            PERFORM procrastinate_upgrade('head', schema, dry_run => true);
            RETURN;
        EXCEPTION WHEN SQLSTATE 'PM007' THEN
            GET STACKED DIAGNOSTICS advice = PG_EXCEPTION_HINT;
        END;
        PERFORM procrastinate_upgrade(
            substring(advice FROM 'SELECT \S+\.procrastinate_upgrade\(''(\d{4})'''), schema);
        COMMIT;
    END LOOP;
END $$;
\set ECHO all
