-- Objects of an installation that belong to another role than the caller, code of other roles that
-- statements on its tables would call, and conditions of triggers that may run other code, as the
-- DETAIL and HINT of a message. A template: the library runs it, and the offline script contains
-- it, so that both refuse the same.
--
-- {{schema}} expression of type oid: the installation's schema
-- {{names}}  expression of type text[]: names of everything that Procrastinate has had at some
--            revision and that has a name of its own in a schema
--
-- Returns one row of two texts, DETAIL and HINT; both are NULL if nothing was found. Needs a
-- search_path of the server's own, so that names come out qualified.
--
-- Indexes and owned sequences have their table's owner. A superuser's objects count as any other
-- superuser's own. pg_depend does not list the server's own functions and operators. A domain
-- checks its values, and an expression may read such values into an array or a row. A role that
-- may add a trigger to a table chooses what the trigger's condition calls, and with which
-- arguments, without having EXECUTE on it. So a condition may call functions of the server that
-- compute, but none that runs a query or reads a value as it is told to; user-defined functions
-- only if they are immutable and written in C.

WITH RECURSIVE me AS (
    SELECT r.oid, r.rolsuper FROM pg_roles r WHERE r.rolname = current_user
), ours AS (
    SELECT c.oid, c.relowner, c.relname, c.relkind
      FROM pg_class c
     WHERE c.relnamespace = {{schema}}
         AND c.relname = ANY ({{names}} || text 'procrastinate_schema_history')
), child AS (
    SELECT i.inhrelid AS oid FROM ours JOIN pg_inherits i ON i.inhparent = ours.oid
        WHERE ours.relkind IN ('r', 'p')
    UNION
    SELECT i.inhrelid FROM child JOIN pg_inherits i ON i.inhparent = child.oid
), every AS (
    SELECT 1 AS rank, 'pg_class'::regclass AS class, c.oid, c.relowner AS owner, c.relname AS name,
           CASE c.relkind WHEN 'c' THEN 'type' ELSE 'table' END AS kind,
           c.oid::regclass::text AS identity
      FROM ours c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT 1, 'pg_class'::regclass, c.oid, c.relowner, c.relname, 'table', c.oid::regclass::text
      FROM child JOIN pg_class c USING (oid)
    UNION ALL
    SELECT 2, 'pg_type'::regclass, t.oid, t.typowner, t.typname, 'type', t.oid::regtype::text
      FROM pg_type t
     WHERE t.typnamespace = {{schema}} AND t.typname = ANY ({{names}}) AND t.typrelid = 0
    UNION ALL
    SELECT 3, 'pg_proc'::regclass, p.oid, p.proowner, p.proname, 'routine',
        p.oid::regprocedure::text
      FROM pg_proc p
     WHERE p.pronamespace = {{schema}} AND p.proname = ANY ({{names}})
), object AS (
    SELECT *
      FROM every
     WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = every.class
         AND d.objid = every.oid AND d.deptype = 'e')
), caller AS (
    SELECT 'pg_trigger'::regclass AS class, t.oid, false AS is_table
      FROM object JOIN pg_trigger t ON t.tgrelid = object.oid
     WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
       AND (t.tgenabled <> 'R' OR current_setting('session_replication_role') = 'replica')
    UNION ALL
    SELECT 'pg_class'::regclass, object.oid, true FROM object WHERE object.kind = 'table'
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid, false FROM object JOIN pg_index i
        ON i.indrelid = object.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid, false FROM object JOIN pg_constraint k
        ON k.conrelid = object.oid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, false FROM object JOIN pg_attrdef d
        ON d.adrelid = object.oid
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid, false FROM object JOIN pg_rewrite r
        ON r.ev_class = object.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid, false FROM object JOIN pg_policy p
        ON p.polrelid = object.oid
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid, false FROM object JOIN pg_statistic_ext s
        ON s.stxrelid = object.oid
), condition AS (
    SELECT caller.class, caller.oid, t.tgqual::text AS words
      FROM caller JOIN pg_trigger t ON caller.class = 'pg_trigger'::regclass AND t.oid = caller.oid
), used AS (
    SELECT caller.class, caller.oid, caller.is_table, d.refclassid, d.refobjid
      FROM caller JOIN pg_depend d ON d.classid = caller.class AND d.objid = caller.oid
    UNION ALL
    SELECT condition.class, condition.oid, false, 'pg_type'::regclass, m.ids[1]::oid
      FROM condition, regexp_matches(condition.words, ':[A-Za-z_]*typ(?:e|id|eid|eId) ([0-9]+)',
          'g') AS m (ids)
), code AS (
    SELECT DISTINCT pg_describe_object(used.class, used.oid, 0) AS caller,
           CASE used.refclassid WHEN 'pg_type'::regclass THEN 'uses ' ELSE 'calls ' END
             || pg_describe_object(used.refclassid, used.refobjid, 0) AS called,
           owner.oid AS owner
      FROM used
      LEFT JOIN pg_proc p ON used.refclassid = 'pg_proc'::regclass AND p.oid = used.refobjid
      LEFT JOIN pg_operator o ON used.refclassid = 'pg_operator'::regclass AND o.oid = used.refobjid
      LEFT JOIN pg_proc f ON f.oid = o.oprcode
      LEFT JOIN pg_type t ON used.refclassid = 'pg_type'::regclass AND t.oid = used.refobjid
            AND (t.typtype = 'd'
                 OR NOT used.is_table
                    AND t.typtype <> 'e' AND NOT EXISTS (SELECT FROM pg_type e
                        WHERE e.oid = t.typelem AND e.typtype = 'e'))
      JOIN LATERAL (VALUES (p.proowner), (o.oprowner), (f.proowner), (t.typowner)) AS owner (oid)
        ON owner.oid IS NOT NULL
), conditional AS (
    SELECT condition.class, condition.oid, m.ids[1]::oid AS function
      FROM condition, regexp_matches(condition.words, ':funcid ([0-9]+)', 'g') AS m (ids)
    UNION
    SELECT condition.class, condition.oid, o.oprcode
      FROM condition, regexp_matches(condition.words, ':opno ([0-9]+)', 'g') AS m (ids)
      JOIN pg_operator o ON o.oid = m.ids[1]::oid
     WHERE o.oid >= 16384
), foreign_object AS (
    SELECT object.rank, object.owner, r.rolname,
           format('%s %s belongs to role %s', object.kind, object.name, r.rolname) AS finding
      FROM me, object JOIN pg_roles r ON r.oid = object.owner
     WHERE r.oid <> me.oid AND NOT (r.rolsuper AND me.rolsuper)
    UNION ALL
    SELECT 4, code.owner, r.rolname,
           format('%s %s of role %s', code.caller, code.called, r.rolname)
      FROM me, code JOIN pg_roles r ON r.oid = code.owner
     WHERE r.oid <> me.oid AND NOT r.rolsuper
    UNION ALL
    SELECT 5, p.proowner, NULL,
           format('%s calls %s, which may run other code', pg_describe_object(conditional.class,
               conditional.oid, 0),
                  pg_describe_object('pg_proc'::regclass, p.oid, 0))
      FROM conditional JOIN pg_proc p ON p.oid = conditional.function
     WHERE NOT CASE WHEN p.oid >= 16384
                    THEN p.provolatile = 'i' AND EXISTS (SELECT FROM pg_language l
                        WHERE l.oid = p.prolang AND l.lanname IN ('c', 'internal'))
                    ELSE p.provolatile <> 'v'
                         OR p.proname ~ '^(clock_timestamp|gen_random_uuid|pg_is_in_recovery|random'
                            '|random_normal|timeofday|uuidv4|uuidv7)$'
               END
        OR p.proname ~ '(_to_xml|populate_record|^pg_get_|^pg_input_|^satisfies_)'
        OR EXISTS (SELECT FROM pg_type t
                    WHERE t.oid = ANY (p.proargtypes)
                        AND t.typname ~ '^(cstring|internal|oid|refcursor|reg(?!config))'
                      AND t.typnamespace = 'pg_catalog'::regnamespace)
), one AS (
    SELECT r.oid, r.rolname
      FROM me, pg_roles r
     WHERE r.oid = coalesce((SELECT t.owner FROM object t
         WHERE t.name = 'procrastinate_schema_history'),
                            (SELECT t.owner FROM object t WHERE t.name = 'procrastinate_jobs'
                                AND t.kind = 'table' LIMIT 1),
                            me.oid)
)
SELECT array_to_string((array_agg(s.finding || '.' ORDER BY s.rank, s.finding))[1:5], E'\n')
           || CASE WHEN count(*) > 5 THEN format(E'\nAnd %s more.', count(*) - 5) ELSE '' END
               AS detail,
       CASE WHEN count(*) = 0 THEN NULL
            WHEN min(s.rank) = 5
                THEN 'Look at the trigger first; then drop it, or move its condition into its'
                    ' function.'
            WHEN count(DISTINCT s.owner) FILTER (WHERE s.rank < 5) > 1 OR min(s.rank) = 4
                OR EXISTS (
                    SELECT FROM object t WHERE t.kind = 'table' AND t.owner NOT IN (SELECT owner
                        FROM foreign_object WHERE rank < 5))
            THEN (SELECT format('Look at them first; then drop them, or give them to role %I%s.',
                one.rolname,
                                CASE WHEN one.oid <> me.oid THEN ' and run it as that role' END)
                         || coalesce((SELECT string_agg(format(E'\nALTER %s %s OWNER TO %I;',
                                                               upper(t.kind), t.identity,
                                                                   one.rolname), ''
                                                        ORDER BY t.rank, t.identity)
                                        FROM object t WHERE t.owner <> one.oid), '')
                    FROM one, me)
            WHEN pg_has_role(min(s.owner) FILTER (WHERE s.rank < 5),
                CASE WHEN current_setting('server_version_num')::int >= 160000
                                                  THEN 'SET' ELSE 'MEMBER' END)
            THEN format('SET ROLE %I;', min(s.rolname::text))
            ELSE format('Run it as role %I.', min(s.rolname::text))
       END AS hint
  FROM foreign_object s
