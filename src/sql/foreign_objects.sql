-- Objects of an installation that belong to another role than the current one, and code of other
-- roles that statements on its tables would call, as the DETAIL and HINT of a message. A template:
-- the library runs it as the installation's owner, and the offline script contains it, so that both
-- refuse the same.
--
-- {{schema}} expression of type oid: the installation's schema
-- {{names}}  expression of type text[]: names of everything that Procrastinate has had at some
--            revision and that has a name of its own in a schema
-- {{shadowing_objects}} the query shadowing_objects.sql
--
-- Returns one row of two texts, DETAIL and HINT; both are NULL if nothing was found. Needs a
-- search_path of the server's own, so that names come out qualified.
--
-- Code is what pg_depend lists for triggers, rules, policies, defaults, constraints, index
-- expressions and statistics: functions, and the functions of operators. Those of superusers are
-- trusted. The server's own are not in pg_depend. Indexes and owned sequences have their table's
-- owner. A type is code, too, where a column has it or an expression casts to it: a domain has
-- checks. The types below it are: of a domain, an array, a range or a composite type.

WITH RECURSIVE me AS (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user
), ours AS (
    SELECT c.oid, c.relowner, c.relname, c.relkind
      FROM pg_class c
     WHERE c.relnamespace = {{schema}} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
       AND c.relname = ANY ({{names}} || ARRAY['procrastinate_schema_history',
                                               'procrastinate_fetch_barrier'])
    UNION
    SELECT c.oid, c.relowner, c.relname, c.relkind
      FROM ours JOIN pg_inherits i ON i.inhparent = ours.oid JOIN pg_class c ON c.oid = i.inhrelid
), object AS (
    SELECT 1 AS rank, CASE c.relkind WHEN 'c' THEN 'type' ELSE 'table' END AS kind,
           c.relname AS name, c.oid::regclass::text AS identity, c.relowner AS owner
      FROM ours c
    UNION ALL
    SELECT 2, 'type', t.typname, t.oid::regtype::text, t.typowner
      FROM pg_type t
     WHERE t.typnamespace = {{schema}} AND t.typname = ANY ({{names}}) AND t.typrelid = 0
    UNION ALL
    SELECT 3, 'routine', p.proname, p.oid::regprocedure::text, p.proowner
      FROM pg_proc p
     WHERE p.pronamespace = {{schema}} AND p.proname = ANY ({{names}})
), table_part (class, oid) AS (
    SELECT 'pg_trigger'::regclass, t.oid
      FROM ours JOIN pg_trigger t ON t.tgrelid = ours.oid
     WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid FROM ours JOIN pg_rewrite r ON r.ev_class = ours.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid FROM ours JOIN pg_policy p ON p.polrelid = ours.oid
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid FROM ours JOIN pg_attrdef d ON d.adrelid = ours.oid
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid
      FROM ours JOIN pg_constraint k ON k.conrelid = ours.oid
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid FROM ours JOIN pg_index i ON i.indrelid = ours.oid
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid
      FROM ours JOIN pg_statistic_ext s ON s.stxrelid = ours.oid
), used_type (oid, class, user_oid, sub_id) AS (
    SELECT a.atttypid, 'pg_class'::regclass, ours.oid, a.attnum::int
      FROM ours JOIN pg_attribute a ON a.attrelid = ours.oid
     WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT d.refobjid, part.class, part.oid, 0
      FROM table_part part JOIN pg_depend d ON d.classid = part.class AND d.objid = part.oid
     WHERE d.refclassid = 'pg_type'::regclass
    UNION
    SELECT below.oid, u.class, u.user_oid, u.sub_id
      FROM used_type u JOIN pg_type t ON t.oid = u.oid
      CROSS JOIN LATERAL (
           SELECT d.refobjid FROM pg_depend d
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
              AND d.refclassid = 'pg_type'::regclass
           UNION ALL SELECT a.atttypid FROM pg_attribute a
                      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
           ) AS below (oid)
), part (class, oid) AS (
    SELECT class, oid FROM table_part
    UNION ALL
    SELECT 'pg_type'::regclass, u.oid FROM used_type u
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid
      FROM used_type u JOIN pg_constraint k ON k.contypid = u.oid
), finding AS (
    SELECT object.rank,
           format('%s %s belongs to role %s', object.kind, object.name, r.rolname) AS text
      FROM me, object JOIN pg_roles r ON r.oid = object.owner
     WHERE r.oid <> me.oid
    UNION
    SELECT 4, format('%s calls %s of role %s', pg_describe_object(part.class, part.oid, 0),
                     pg_describe_object('pg_proc'::regclass, p.oid, 0), r.rolname)
      FROM me, part
      JOIN pg_depend d ON d.classid = part.class AND d.objid = part.oid
      LEFT JOIN pg_operator o
        ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
      JOIN pg_proc p
        ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
      JOIN pg_roles r ON r.oid = p.proowner
     WHERE r.oid <> me.oid AND NOT r.rolsuper
    UNION
    SELECT 4, format('%s has type %s of role %s',
                     pg_describe_object(u.class, u.user_oid, u.sub_id), t.oid::regtype, r.rolname)
      FROM me, used_type u
      JOIN pg_type t ON t.oid = u.oid
      JOIN pg_roles r ON r.oid = t.typowner
     WHERE r.oid <> me.oid AND NOT r.rolsuper
    UNION ALL
    {{shadowing_objects}}
), one AS (
    SELECT r.oid, r.rolname
      FROM me JOIN pg_roles r ON r.oid = coalesce(
               (SELECT c.relowner FROM pg_class c
                 WHERE c.relnamespace = {{schema}} AND c.relname = 'procrastinate_jobs'),
               me.oid)
)
SELECT array_to_string((array_agg(f.text || '.' ORDER BY f.rank, f.text))[1:5], E'\n')
           || CASE WHEN count(*) > 5 THEN format(E'\nAnd %s more.', count(*) - 5) ELSE '' END
           AS detail,
       CASE WHEN count(*) = 0 THEN NULL
            WHEN (SELECT one.oid <> me.oid FROM one, me)
            THEN (SELECT format('Connect as role %I.', one.rolname) FROM one)
            ELSE (SELECT format('Look at them first; then drop them, or give them to role %I.',
                                one.rolname)
                         || coalesce((SELECT string_agg(format(E'\nALTER %s %s OWNER TO %I;',
                                                               upper(o.kind), o.identity,
                                                               one.rolname), ''
                                                        ORDER BY o.rank, o.identity)
                                        FROM object o WHERE o.owner <> one.oid), '')
                    FROM one)
       END AS hint
  FROM finding f
