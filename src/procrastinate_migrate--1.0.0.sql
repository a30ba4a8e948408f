-- SQL interface of procrastinate_migrate 1.0.0: the functions and the view that users call.

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION procrastinate_migrate" to load this file. \quit

-- The schema of an installation is an argument of any type that names one: text, the exact name, or
-- regnamespace. A polymorphic argument, since a function for each type would make a call without
-- it ambiguous; anycompatible, because that takes a literal as text.

-- ---- Read: write nothing, work on a hot standby and in a read-only transaction ------------------
-- They read what is committed now, as the catalog is read. That takes a snapshot of their own,
-- which a query with a parallel plan must not take: hence PARALLEL UNSAFE.

CREATE FUNCTION procrastinate_current(
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT is_head boolean,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT source text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_current(anycompatible) IS
    'current revision of the installation, and the event that recorded it; no row at base';

CREATE FUNCTION procrastinate_history(
    range text DEFAULT 'base:head',
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT title text,
    OUT is_applied boolean,
    OUT applied_at timestamp with time zone
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_history(text, anycompatible) IS
    'migrations of a range (start:end), newest first, and when each was applied';

CREATE FUNCTION procrastinate_history_details(
    range text DEFAULT 'base:head',
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT down_revision text,
    OUT file text,
    OUT title text,
    OUT phase text,
    OUT releases text,
    OUT is_head boolean,
    OUT is_current boolean,
    OUT is_applied boolean,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT duration interval
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_history_details(text, anycompatible) IS
    'rows of procrastinate_history() with more columns: file, phase, releases and how each was'
    ' applied';

CREATE FUNCTION procrastinate_pending(
    target text DEFAULT 'head',
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT title text,
    OUT phase text,
    OUT releases text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_pending(text, anycompatible) IS
    'migrations that an upgrade to the target would apply, oldest first';

CREATE FUNCTION procrastinate_heads(
    OUT revision text,
    OUT down_revision text,
    OUT file text,
    OUT title text,
    OUT phase text,
    OUT releases text,
    OUT is_head boolean,
    OUT is_current boolean,
    OUT is_applied boolean,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT duration interval
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_heads() IS
    'last migration of the chain';

CREATE FUNCTION procrastinate_show(
    revision text,
    OUT revision text,
    OUT down_revision text,
    OUT file text,
    OUT title text,
    OUT phase text,
    OUT releases text,
    OUT is_head boolean,
    OUT is_current boolean,
    OUT is_applied boolean,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT duration interval,
    OUT sql text,
    OUT sha256 text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_show(text) IS
    'one migration, by any name of it, with its SQL';

CREATE FUNCTION procrastinate_migration_sql(revision text) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_migration_sql(text) IS
    'SQL of one migration, by any name of it';

CREATE FUNCTION procrastinate_sql(
    range text DEFAULT 'base:head',
    schema anycompatible DEFAULT NULL::text,
    online boolean DEFAULT false
) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_sql(text, anycompatible, boolean) IS
    'script for psql that upgrades from the start of the range to its end on a server without this extension';

CREATE FUNCTION procrastinate_check_sql(
    revision text DEFAULT NULL,
    schema anycompatible DEFAULT NULL::text
) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_check_sql(text, anycompatible) IS
    'query that lists the differences of the installation from the revision, or from the nearest, on a server without this extension';

CREATE FUNCTION procrastinate_log(
    schema anycompatible DEFAULT NULL::text,
    OUT id bigint,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT event text,
    OUT from_revision text,
    OUT to_revision text,
    OUT duration interval,
    OUT version text,
    OUT is_own boolean
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_log(anycompatible) IS
    'history of the installation: each change to it, oldest first; is_own is false for rows that another database has written';

-- ---- What a schema is: read from the catalog, with or without a history -------------------------

CREATE FUNCTION procrastinate_detect(
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT exact boolean,
    OUT missing integer,
    OUT extra integer,
    OUT altered integer
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_detect(anycompatible) IS
    'revision that the schema matches, or the nearest revisions if it matches none exactly';

CREATE FUNCTION procrastinate_check(
    revision text DEFAULT 'current',
    schema anycompatible DEFAULT NULL::text,
    OUT kind text,
    OUT object text,
    OUT problem text,
    OUT expected text,
    OUT actual text,
    OUT severity text,
    OUT repair text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_check(text, anycompatible) IS
    'differences between the schema and a revision, worst first, each with the statement that'
    ' repairs it; from base: the DROPs in their order';

-- ---- Releases: which code works on which schema -------------------------------------------------

CREATE FUNCTION procrastinate_releases(
    OUT release text,
    OUT revision text,
    OUT works_from text,
    OUT works_to text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_releases() IS
    'releases of Procrastinate, newest first: the revision that each expects, and those it works on';

CREATE FUNCTION procrastinate_supports(
    release text,
    schema anycompatible DEFAULT NULL::text,
    OUT supported boolean,
    OUT revision text,
    OUT works_from text,
    OUT works_to text,
    OUT advice text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_supports(text, anycompatible) IS
    'whether the code of a release works on the installation: on its revision, and no difference'
    ' breaks Procrastinate; if not, what to do first';

CREATE FUNCTION procrastinate_route(
    from_release text,
    to_release text,
    schema anycompatible DEFAULT NULL::text,
    OUT step integer,
    OUT action text,
    OUT target text,
    OUT revision text,
    OUT reason text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_route(text, text, anycompatible) IS
    'steps from one release to another without downtime: what to apply and what to deploy, in order';

-- ---- Online runs: the plan, and what is under way -----------------------------------------------

CREATE FUNCTION procrastinate_plan(
    target text DEFAULT 'head',
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT step integer,
    OUT kind text,
    OUT phase text,
    OUT title text,
    OUT estimate interval
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_plan(text, anycompatible) IS
    'steps that procrastinate_migrate() would run to reach the target, with estimated time';

CREATE FUNCTION procrastinate_plan_details(
    target text DEFAULT 'head',
    schema anycompatible DEFAULT NULL::text,
    OUT revision text,
    OUT step integer,
    OUT kind text,
    OUT phase text,
    OUT title text,
    OUT statement text,
    OUT lock text,
    OUT relation text,
    OUT relation_size bigint,
    OUT rewrites boolean,
    OUT scans boolean,
    OUT estimate interval
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_plan_details(text, anycompatible) IS
    'rows of procrastinate_plan() with more columns: statements, locks and sizes';

CREATE FUNCTION procrastinate_under_way(
    OUT schema regnamespace,
    OUT revision text,
    OUT step integer,
    OUT steps integer,
    OUT kind text,
    OUT title text,
    OUT since timestamp with time zone,
    OUT done bigint,
    OUT total bigint
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_under_way() IS
    'installations in this database whose migration is under way, with the next step of each';

CREATE FUNCTION procrastinate_get_progress(
    OUT schema regnamespace,
    OUT revision text,
    OUT step integer,
    OUT steps integer,
    OUT kind text,
    OUT title text,
    OUT pid integer,
    OUT since timestamp with time zone,
    OUT phase text,
    OUT done bigint,
    OUT "left" bigint,
    OUT waiting_for integer[]
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_get_progress() IS
    'rows of the view procrastinate_progress';

CREATE VIEW procrastinate_progress AS
SELECT schema, revision, step, steps, kind, title, pid, since, phase, done, "left", waiting_for
  FROM procrastinate_get_progress();
COMMENT ON VIEW procrastinate_progress IS
    'what procrastinate_migrate() does now in the installations of this database: done and left are '
    'blocks or rows of an index build, or ids of batches; waiting_for are pids of sessions or of a '
    'replica''s walsender, 0 is a prepared transaction';
GRANT SELECT ON procrastinate_progress TO PUBLIC;

CREATE FUNCTION procrastinate_get_installations(
    OUT schema regnamespace,
    OUT owner regrole,
    OUT revision text,
    OUT is_head boolean,
    OUT source text,
    OUT under_way_since timestamp with time zone,
    OUT jobs bigint,
    OUT may_change boolean
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_get_installations() IS
    'rows of the view procrastinate_installations';

CREATE VIEW procrastinate_installations AS
SELECT schema, owner, revision, is_head, source, under_way_since, jobs, may_change
  FROM procrastinate_get_installations();
COMMENT ON VIEW procrastinate_installations IS
    'schemas of this database that hold tables of Procrastinate, with the revision that the history '
    'records and the event that recorded it; jobs are rows as the server estimates them; may_change '
    'is for the current role';
GRANT SELECT ON procrastinate_installations TO PUBLIC;

CREATE FUNCTION procrastinate_require(
    target text,
    drift text DEFAULT 'error',
    schema anycompatible DEFAULT NULL::text
) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_require(text, text, anycompatible) IS
    'fails if the schema is before the target, if a release does not work on it, or if differences '
    'break Procrastinate (drift: error, warning, ignore); returns the current revision';

CREATE FUNCTION procrastinate_require_all(
    target text,
    drift text DEFAULT 'error',
    schemas text[] DEFAULT '{%}'
) RETURNS integer
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_require_all(text, text, text[]) IS
    'fails if one of the installations that you may change does not pass procrastinate_require; returns how many were checked';

-- ---- Change -------------------------------------------------------------------------------------

CREATE FUNCTION procrastinate_upgrade(
    target text DEFAULT 'head',
    schema anycompatible DEFAULT NULL::text,
    dry_run boolean DEFAULT false
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_upgrade(text, anycompatible, boolean) IS
    'upgrades the installation to the target in the current transaction, or does so and rolls it back (dry_run); returns the revision reached';

CREATE PROCEDURE procrastinate_migrate(
    target text DEFAULT 'head',
    schema anycompatible DEFAULT NULL::text,
    lock_timeout interval DEFAULT '100 ms',
    retry_for interval DEFAULT '10 min',
    concurrently boolean DEFAULT true,
    force boolean DEFAULT false,
    through text DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE
    procrastinate_migrate(text, anycompatible, interval, interval, boolean, boolean, text) IS
    'upgrades the installation to the target in many short transactions, while clients work';

-- For drivers that send an interval as text.
CREATE PROCEDURE procrastinate_migrate(
    target text,
    schema anycompatible,
    lock_timeout text,
    retry_for text DEFAULT '10 min',
    concurrently boolean DEFAULT true,
    force boolean DEFAULT false,
    through text DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE
    procrastinate_migrate(text, anycompatible, text, text, boolean, boolean, text) IS
    'upgrades the installation to the target in many short transactions, while clients work';

CREATE PROCEDURE procrastinate_migrate_all(
    target text DEFAULT 'head',
    schemas text[] DEFAULT '{%}',
    workers integer DEFAULT 2,
    canary integer DEFAULT 1,
    on_error text DEFAULT 'stop',
    lock_timeout interval DEFAULT '100 ms',
    retry_for interval DEFAULT '10 min',
    force boolean DEFAULT false,
    dry_run boolean DEFAULT false
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE
    procrastinate_migrate_all(text, text[], integer, integer, text, interval, interval, boolean,
                              boolean) IS
    'migrates the installations of the database that you may change, as procrastinate_migrate does, several at a time; canary of them first';

CREATE PROCEDURE procrastinate_migrate_servers(
    target text DEFAULT 'head',
    servers text[] DEFAULT '{%}',
    schemas text[] DEFAULT '{%}',
    workers integer DEFAULT 2,
    canary integer DEFAULT 1,
    on_error text DEFAULT 'stop',
    lock_timeout interval DEFAULT '100 ms',
    retry_for interval DEFAULT '10 min',
    force boolean DEFAULT false,
    dry_run boolean DEFAULT false
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE
    procrastinate_migrate_servers(text, text[], text[], integer, integer, text, interval, interval,
                                  boolean, boolean) IS
    'calls procrastinate_migrate_all on foreign servers by dblink, several at a time; canary of them first';

CREATE PROCEDURE procrastinate_wait(
    target text DEFAULT 'head',
    timeout interval DEFAULT NULL,
    schema anycompatible DEFAULT NULL::text
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE procrastinate_wait(text, interval, anycompatible) IS
    'returns when the installation is at the target or later, or when the release works on it';

CREATE PROCEDURE procrastinate_wait(
    target text,
    timeout text,
    schema anycompatible DEFAULT NULL::text
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE procrastinate_wait(text, text, anycompatible) IS
    'returns when the installation is at the target or later, or when the release works on it';

CREATE FUNCTION procrastinate_stamp(
    revision text,
    verify boolean DEFAULT true,
    schema anycompatible DEFAULT NULL::text
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_stamp(text, boolean, anycompatible) IS
    'records a revision without running anything; returns it';

CREATE FUNCTION procrastinate_adopt(
    schema anycompatible DEFAULT NULL::text,
    copy boolean DEFAULT false
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_adopt(anycompatible, boolean) IS
    'records the revision that the schema matches, or that a copied history says; returns it';

CREATE FUNCTION procrastinate_repair(
    revision text DEFAULT 'current',
    schema anycompatible DEFAULT NULL::text,
    dry_run boolean DEFAULT true,
    OUT kind text,
    OUT object text,
    OUT problem text,
    OUT repair text,
    OUT error text
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_repair(text, anycompatible, boolean) IS
    'statements that repair differences from the revision; with dry_run => false they are run, and'
    ' error says which of them failed; the DROPs to base are only listed';

CREATE FUNCTION procrastinate_downgrade(
    target text,
    schema anycompatible DEFAULT NULL::text
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_downgrade(text, anycompatible) IS
    'always an error: Procrastinate has no downgrades';
