-- SQL interface of procrastinate_migrate 1.0.0: the functions and the view that users call.

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION procrastinate_migrate" to load this file. \quit

-- ---- Read: write nothing, work on a hot standby and in a read-only transaction -------------------
-- They read what is committed now, as the catalog is read. That takes a snapshot of their own, which
-- a query with a parallel plan must not take: hence PARALLEL UNSAFE.

CREATE FUNCTION procrastinate_current(
    schema regnamespace DEFAULT NULL,
    OUT revision text,
    OUT is_head boolean,
    OUT file text,
    OUT title text,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT source text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_current(regnamespace) IS
    'current revision of the installation, and the event that recorded it; no row at base';

CREATE FUNCTION procrastinate_history(
    range text DEFAULT 'base:head',
    schema regnamespace DEFAULT NULL,
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
COMMENT ON FUNCTION procrastinate_history(text, regnamespace) IS
    'migrations of a range (start:end), newest first, and when each was applied';

CREATE FUNCTION procrastinate_pending(
    target text DEFAULT 'head',
    schema regnamespace DEFAULT NULL,
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
COMMENT ON FUNCTION procrastinate_pending(text, regnamespace) IS
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
    schema regnamespace DEFAULT NULL
) RETURNS text
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_sql(text, regnamespace) IS
    'script for psql that upgrades from the start of the range to its end on a server without this extension';

CREATE FUNCTION procrastinate_log(
    schema regnamespace DEFAULT NULL,
    OUT id bigint,
    OUT applied_at timestamp with time zone,
    OUT applied_by text,
    OUT event text,
    OUT from_revision text,
    OUT to_revision text,
    OUT duration interval,
    OUT version text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_log(regnamespace) IS
    'history of the installation: each change to it, oldest first';

-- ---- What a schema is: read from the catalog, with or without a history ---------------------------

CREATE FUNCTION procrastinate_detect(
    schema regnamespace DEFAULT NULL,
    OUT revision text,
    OUT exact boolean,
    OUT missing integer,
    OUT extra integer,
    OUT altered integer
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_detect(regnamespace) IS
    'revision that the schema matches, or the nearest revisions if it matches none exactly';

CREATE FUNCTION procrastinate_check(
    revision text DEFAULT 'current',
    schema regnamespace DEFAULT NULL,
    OUT kind text,
    OUT object text,
    OUT problem text,
    OUT expected text,
    OUT actual text,
    OUT severity text,
    OUT repair text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_check(text, regnamespace) IS
    'differences between the schema and a revision, worst first, each with the statement that repairs it';

-- ---- Releases: which code works on which schema --------------------------------------------------

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
    schema regnamespace DEFAULT NULL,
    OUT supported boolean,
    OUT revision text,
    OUT works_from text,
    OUT works_to text,
    OUT advice text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_supports(text, regnamespace) IS
    'whether the code of a release works on the installation''s revision, and if not, what to do first';

CREATE FUNCTION procrastinate_route(
    from_release text,
    to_release text,
    schema regnamespace DEFAULT NULL,
    OUT step integer,
    OUT action text,
    OUT target text,
    OUT revision text,
    OUT reason text
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_route(text, text, regnamespace) IS
    'steps from one release to another without downtime: what to apply and what to deploy, in order';

-- ---- What is to come, and what is under way ------------------------------------------------------

CREATE FUNCTION procrastinate_plan(
    target text DEFAULT 'head',
    schema regnamespace DEFAULT NULL,
    OUT revision text,
    OUT step integer,
    OUT kind text,
    OUT statement text,
    OUT lock text,
    OUT relation text,
    OUT relation_size bigint,
    OUT rewrites boolean,
    OUT scans boolean,
    OUT estimate interval
) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_plan(text, regnamespace) IS
    'steps that procrastinate_migrate() would take to the target: statements, locks on the tables of clients, how long';

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
    'installations of this database whose migration is under way, and its next step';

-- Others may be allowed to create in the schema at hand: of operators and functions, none of theirs is taken.
CREATE VIEW procrastinate_progress AS
SELECT u.schema, u.revision, u.step, u.steps, u.kind, u.title,
       coalesce(b.pid, c.pid) AS pid, u.since, b.phase, coalesce(b.done, u.done) AS done,
       coalesce(b.total, u.total) OPERATOR(pg_catalog.-) coalesce(b.done, u.done) AS "left",
       coalesce(k.pids, h.pids) AS waiting_for
  FROM procrastinate_under_way() AS u
  LEFT JOIN LATERAL (
           -- Who calls; of several, who has the lock on the installation, or on the build of an index. Any role
           -- can have such locks, but only one that may change the jobs calls.
           SELECT w.pid
             FROM pg_catalog.pg_locks AS w
                  JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) w.database
                  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid OPERATOR(pg_catalog.=) w.pid
                  LEFT JOIN pg_catalog.pg_class AS j ON j.relnamespace OPERATOR(pg_catalog.=) u.schema::oid
                        AND j.relname OPERATOR(pg_catalog.=) 'procrastinate_jobs'
            WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
              AND w.locktype OPERATOR(pg_catalog.=) 'advisory' AND w.objsubid OPERATOR(pg_catalog.=) 2::smallint
              AND w.classid OPERATOR(pg_catalog.=) 1347571575::oid AND w.objid OPERATOR(pg_catalog.=) u.schema::oid
              AND (j.oid IS NULL OR pg_catalog.pg_has_role(a.usesysid, j.relowner, 'MEMBER'))
            ORDER BY EXISTS (
                         SELECT FROM pg_catalog.pg_locks AS l
                          WHERE l.pid OPERATOR(pg_catalog.=) w.pid AND l.database OPERATOR(pg_catalog.=) w.database
                            AND l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.objsubid OPERATOR(pg_catalog.=) w.objsubid
                            AND l.classid OPERATOR(pg_catalog.=) ANY ('{1347571523,1347571554}'::oid[])
                            AND l.objid OPERATOR(pg_catalog.=) w.objid AND l.granted) DESC,
                     w.pid
            LIMIT 1) AS c ON true
  LEFT JOIN LATERAL (
           -- A worker of ours that builds, not whoever else has an index built there. Of a worker that is hidden
           -- from who looks it is known that it builds an index.
           SELECT a.pid, i.phase,
                  CASE WHEN i.blocks_total OPERATOR(pg_catalog.>) 0::bigint THEN i.blocks_done
                       WHEN i.tuples_total OPERATOR(pg_catalog.>) 0::bigint THEN i.tuples_done END AS done,
                  CASE WHEN i.blocks_total OPERATOR(pg_catalog.>) 0::bigint THEN i.blocks_total
                       WHEN i.tuples_total OPERATOR(pg_catalog.>) 0::bigint THEN i.tuples_total END AS total
             FROM pg_catalog.pg_stat_activity AS a
                  LEFT JOIN pg_catalog.pg_stat_progress_create_index AS i ON i.pid OPERATOR(pg_catalog.=) a.pid
            WHERE u.kind OPERATOR(pg_catalog.=) 'concurrent'
              AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
              AND (a.backend_type OPERATOR(pg_catalog.=) 'procrastinate_migrate'
                   OR a.backend_type IS NULL AND i.pid IS NOT NULL
                   OR a.pid OPERATOR(pg_catalog.=) c.pid)
              AND EXISTS (
                      SELECT FROM pg_catalog.pg_locks AS l
                             JOIN pg_catalog.pg_class AS r ON r.oid OPERATOR(pg_catalog.=) l.relation
                       WHERE l.pid OPERATOR(pg_catalog.=) a.pid AND r.relnamespace OPERATOR(pg_catalog.=) u.schema::oid
                         AND r.relname OPERATOR(pg_catalog.~) '^procrastinate_')
            ORDER BY a.pid OPERATOR(pg_catalog.=) c.pid
            LIMIT 1) AS b ON true
  LEFT JOIN LATERAL (
           SELECT w.pids
             FROM pg_catalog.pg_blocking_pids(coalesce(b.pid, c.pid)) AS w (pids)
            WHERE pg_catalog.cardinality(w.pids) OPERATOR(pg_catalog.>) 0) AS k ON true
  LEFT JOIN LATERAL (
           -- Between one try and the next nobody is waited for: it says itself whom it met, of whom those are left out
           -- who have no lock any more, or which walsender it waits for; or somebody has the lock on builds.
           SELECT pg_catalog.array_agg(DISTINCT CASE WHEN l.classid OPERATOR(pg_catalog.=) 1347571567::oid
                                                     THEN l.objid::bigint::integer ELSE coalesce(l.pid, 0) END) AS pids
             FROM pg_catalog.pg_locks AS l
                  JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) l.database
            WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
              AND l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.objsubid OPERATOR(pg_catalog.=) 2::smallint AND l.granted
              AND (l.classid OPERATOR(pg_catalog.=) 1347571567::oid AND l.pid OPERATOR(pg_catalog.=) c.pid
                   AND l.objid::bigint::integer OPERATOR(pg_catalog.=) ANY (
                           SELECT coalesce(x.pid, 0) FROM pg_catalog.pg_locks AS x WHERE x.granted
                            UNION ALL
                           SELECT s.pid FROM pg_catalog.pg_stat_replication AS s)
                   OR u.kind OPERATOR(pg_catalog.=) 'concurrent' AND coalesce(l.pid, 0) OPERATOR(pg_catalog.<>) c.pid
                   AND l.classid OPERATOR(pg_catalog.=) 1347571554::oid AND l.objid OPERATOR(pg_catalog.=) u.schema::oid)
           ) AS h ON true;
COMMENT ON VIEW procrastinate_progress IS
    'what procrastinate_migrate() is at in the installations of this database: done and left are blocks or rows of a build, or ids of rows, waiting_for are sessions, a replica''s walsender, or 0 for a prepared transaction';
GRANT SELECT ON procrastinate_progress TO PUBLIC;

-- ---- Change -------------------------------------------------------------------------------------

CREATE FUNCTION procrastinate_upgrade(
    target text DEFAULT 'head',
    schema regnamespace DEFAULT NULL,
    dry_run boolean DEFAULT false
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_upgrade(text, regnamespace, boolean) IS
    'upgrades the installation to the target in the current transaction, or does so and rolls it back (dry_run); returns the revision reached';

CREATE PROCEDURE procrastinate_migrate(
    target text DEFAULT 'head',
    schema regnamespace DEFAULT NULL,
    lock_timeout interval DEFAULT '100 ms',
    retry_for interval DEFAULT '10 min',
    concurrently boolean DEFAULT true,
    force boolean DEFAULT false,
    through text DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE procrastinate_migrate(text, regnamespace, interval, interval, boolean, boolean, text) IS
    'upgrades the installation to the target in many short transactions, while others work';

CREATE PROCEDURE procrastinate_wait(
    target text DEFAULT 'head',
    timeout interval DEFAULT NULL,
    schema regnamespace DEFAULT NULL
)
    LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE procrastinate_wait(text, interval, regnamespace) IS
    'returns when the installation is at the target or later';

CREATE FUNCTION procrastinate_stamp(
    revision text,
    verify boolean DEFAULT true,
    schema regnamespace DEFAULT NULL
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_stamp(text, boolean, regnamespace) IS
    'records a revision without running anything; returns it';

CREATE FUNCTION procrastinate_adopt(
    schema regnamespace DEFAULT NULL
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_adopt(regnamespace) IS
    'records the revision that the schema matches; returns it';

CREATE FUNCTION procrastinate_repair(
    schema regnamespace DEFAULT NULL,
    dry_run boolean DEFAULT true,
    OUT kind text,
    OUT object text,
    OUT problem text,
    OUT repair text
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_repair(regnamespace, boolean) IS
    'statements that repair differences from the revision; with dry_run => false they are run';

CREATE FUNCTION procrastinate_downgrade(
    target text,
    schema regnamespace DEFAULT NULL
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION procrastinate_downgrade(text, regnamespace) IS
    'always an error: Procrastinate has no downgrades';
