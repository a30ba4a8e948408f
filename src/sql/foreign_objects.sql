-- Objects of an installation that belong to another role than the current one, and code of other
-- roles that statements on its tables would call, as the DETAIL and HINT of a message. A template:
-- the library runs it as the installation's owner, and the offline script contains it, so that both
-- refuse the same.
--
-- {{schema}} expression of type oid: the installation's schema
-- {{names}}  expression of type text[]: names of everything that Procrastinate has had at some
--            revision and that has a name of its own in a schema; of a function also the name with
--            the types of its arguments, without blanks
-- {{table}}  expression of type oid: a table of the current role that is written, too; 0 if none
-- {{shadowing_objects}} the query shadowing_objects.sql
--
-- Returns one row of two texts, DETAIL and HINT; both are NULL if nothing was found. Needs a
-- search_path of the server's own, so that names come out qualified.
--
-- The HINT gives no function to the owner that is SECURITY DEFINER or not of Procrastinate's: it
-- would run the code of the other role as the owner. It has at most 200 statements, and none longer
-- than 1000 characters: other roles can make any number of functions.
--
-- Code is what pg_depend lists for triggers, rules, policies, defaults, constraints, partition
-- keys, index expressions and statistics: functions, operators and operator classes. Those of
-- superusers are trusted. The server's own are not in pg_depend. Indexes and owned sequences have
-- their table's owner. An operator's owner counts like its function's: the owner of both can give
-- it a negator at any time, by which the planner replaces NOT. Neither negator nor commutator are
-- in pg_depend. An operator, also in an operator class or as an ANY (array), is replaced by others
-- of its operator families, or by their support functions.
-- A type is code, too, where a column has it or an expression casts to it: a
-- domain has checks. What such code uses is followed in turn: the types below a domain, an array, a
-- range or a composite type, the checks of a domain, and what the body of a function uses if
-- pg_depend knows that (BEGIN ATOMIC). A table or view that a policy or such a body uses is code as
-- well: its triggers, rules and defaults run, and its owner can add some at any time.
-- Objects with OIDs below 16384 are the server's.
--
-- A rule may use the installation's own tables and views only, and no others of the owner either.
-- Nothing locks those, nor the tables that follow them by a foreign key: a trigger that comes after
-- this check would run as the owner.
--
-- Each trigger, rule or policy is paired with all that it uses, so that few objects can make many
-- pairs. At most 20000 are looked at; with more the answer is a refusal.
--
-- OFFSET 0 keeps the planner from reading whole catalogs: it cannot know how few rows CTEs have.

WITH RECURSIVE me AS (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user
), ours AS (
    SELECT c.oid, c.relowner, c.relname, c.relkind
      FROM pg_class c
     WHERE c.relnamespace = {{schema}}
       AND (c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
            AND c.relname = ANY ({{names}} || 'procrastinate_schema_history'::text)
            OR c.relname = 'procrastinate_fetch_barrier')
    UNION
    SELECT c.oid, c.relowner, c.relname, c.relkind
      FROM ours
      JOIN pg_inherits i ON ours.oid IN (i.inhparent, i.inhrelid)
      JOIN pg_class c ON c.oid IN (i.inhparent, i.inhrelid)
), rule AS (
    SELECT r.oid, c.oid AS uses, format('RULE %I ON %s', r.rulename, ours.oid::regclass) AS identity
      FROM ours
      JOIN pg_rewrite r ON r.ev_class = ours.oid AND r.ev_type <> '1' AND r.ev_enabled <> 'D'
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid >= 16384
      JOIN pg_class c ON c.oid = d.refobjid AND c.relkind <> 'S'
     WHERE c.oid NOT IN (SELECT ours.oid FROM ours)
), written AS (
    SELECT ours.oid FROM ours
    UNION
    SELECT {{table}} WHERE {{table}} <> 0
), object AS (
    SELECT 1 AS rank, CASE WHEN c.relkind = 'c' THEN 'type' WHEN c.relkind = 'S' THEN 'sequence'
                          WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'table' END AS kind,
           c.relname AS name, c.oid::regclass::text AS identity, c.relowner AS owner,
           c.relkind NOT IN ('i', 'I', 'S') AS can_be_given
      FROM ours c
    UNION ALL
    SELECT 2, 'type', t.typname, t.oid::regtype::text, t.typowner, true
      FROM pg_type t
     WHERE t.typnamespace = {{schema}} AND t.typrelid = 0
       AND t.typname = ANY ({{names}} || ARRAY['procrastinate_schema_history',
                                               'procrastinate_fetch_barrier'])
    UNION ALL
    (SELECT 3, 'routine', p.proname, p.oid::regprocedure::text, p.proowner,
            NOT p.prosecdef
            AND replace(replace(p.oid::regprocedure::text, {{schema}}::regnamespace || '.', ''),
                        ' ', '') = ANY ({{names}})
       FROM me, pg_proc p
      WHERE p.pronamespace = {{schema}} AND p.proname = ANY ({{names}}) AND p.proowner <> me.oid
      LIMIT 1000)
), used (class, oid, user_class, user_oid, user_sub_id) AS (
    SELECT 'pg_type'::regclass, a.atttypid, 'pg_class'::regclass, written.oid, a.attnum::int
      FROM written
      CROSS JOIN LATERAL (
           SELECT a.atttypid, a.attnum
             FROM pg_attribute a
            WHERE a.attrelid = written.oid AND a.attnum > 0 AND NOT a.attisdropped OFFSET 0) a
     WHERE a.atttypid >= 16384
    UNION ALL
    SELECT 'pg_class'::regclass, w.oid, 'pg_class'::regclass, w.oid, 0 FROM written w
    UNION
    SELECT below.class, below.oid,
           CASE WHEN below.is_part AND u.oid = u.user_oid THEN below.class ELSE u.user_class END,
           CASE WHEN below.is_part AND u.oid = u.user_oid THEN below.oid ELSE u.user_oid END,
           u.user_sub_id
      FROM used u
      CROSS JOIN LATERAL (
           SELECT d.refclassid::regclass, d.refobjid, false
             FROM pg_depend d
            WHERE d.classid = u.class AND d.objid = u.oid AND d.refobjid >= 16384
              AND (d.refclassid IN ('pg_type'::regclass, 'pg_proc'::regclass,
                                    'pg_operator'::regclass, 'pg_opclass'::regclass)
                   OR d.refclassid = 'pg_class'::regclass
                      AND u.class IN ('pg_rewrite'::regclass, 'pg_policy'::regclass,
                                      'pg_proc'::regclass))
           UNION ALL
           SELECT 'pg_operator'::regclass, other.oid, false
             FROM pg_operator o CROSS JOIN LATERAL (VALUES (o.oprnegate), (o.oprcom)) AS other (oid)
            WHERE u.class = 'pg_operator'::regclass AND o.oid = u.oid AND other.oid >= 16384
           UNION ALL
           SELECT 'pg_opfamily'::regclass, m.amopfamily, false
             FROM pg_amop m
            WHERE u.class = 'pg_operator'::regclass AND m.amopopr = u.oid
           UNION ALL
           SELECT 'pg_opfamily'::regclass, c.opcfamily, false
             FROM pg_opclass c
            WHERE u.class = 'pg_opclass'::regclass AND c.oid = u.oid
           UNION ALL
           SELECT 'pg_operator'::regclass, m.amopopr, false
             FROM pg_amop m
            WHERE u.class = 'pg_opfamily'::regclass AND m.amopfamily = u.oid
              AND m.amopopr >= 16384
           UNION ALL
           SELECT 'pg_proc'::regclass, m.amproc::oid, false
             FROM pg_amproc m
            WHERE u.class = 'pg_opfamily'::regclass AND m.amprocfamily = u.oid
              AND m.amproc::oid >= 16384
           UNION ALL
           SELECT 'pg_constraint'::regclass, k.oid, false
             FROM pg_constraint k
            WHERE u.class = 'pg_type'::regclass AND k.contypid = u.oid
           UNION ALL
           SELECT 'pg_type'::regclass, a.atttypid, false
             FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid
            WHERE u.class = 'pg_type'::regclass AND t.oid = u.oid
              AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
           SELECT 'pg_class'::regclass, i.inhrelid, false
             FROM pg_inherits i
            WHERE u.class = 'pg_class'::regclass AND i.inhparent = u.oid
           UNION ALL
           SELECT part.class, part.oid, true
             FROM (SELECT 'pg_trigger'::regclass, t.oid, t.tgrelid
                     FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'
                    UNION ALL
                   SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class
                     FROM pg_rewrite r
                    WHERE r.ev_enabled <> 'D' AND r.oid NOT IN (SELECT rule.oid FROM rule)
                    UNION ALL
                   SELECT 'pg_policy'::regclass, p.oid, p.polrelid FROM pg_policy p
                    UNION ALL
                   SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid FROM pg_attrdef d
                    UNION ALL
                   SELECT 'pg_constraint'::regclass, k.oid, k.conrelid FROM pg_constraint k
                    UNION ALL
                   SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid FROM pg_index i
                    UNION ALL
                   SELECT 'pg_statistic_ext'::regclass, s.oid, s.stxrelid
                     FROM pg_statistic_ext s) AS part (class, oid, relation)
            WHERE u.class = 'pg_class'::regclass AND part.relation = u.oid
           ) AS below (class, oid, is_part)
), code AS MATERIALIZED (
    SELECT * FROM used LIMIT 20001
), finding AS (
    SELECT object.rank,
           format('%s %s belongs to role %s', object.kind, object.name, r.rolname) AS text
      FROM me, object JOIN pg_roles r ON r.oid = object.owner
     WHERE r.oid <> me.oid
    UNION
    SELECT 4, format('%s %s %s of role %s',
                     left(pg_describe_object(u.user_class, u.user_oid, u.user_sub_id), 1000),
                     one.verb, left(pg_describe_object(u.class, u.oid, 0), 1000), r.rolname)
      FROM me, code u
      CROSS JOIN LATERAL (
           SELECT 'calls', p.proowner FROM pg_proc p
            WHERE u.class = 'pg_proc'::regclass AND p.oid = u.oid
           UNION ALL
           SELECT 'has', t.typowner FROM pg_type t
            WHERE u.class = 'pg_type'::regclass AND t.oid = u.oid
           UNION ALL
           SELECT 'uses', c.relowner FROM pg_class c
            WHERE u.class = 'pg_class'::regclass AND c.oid = u.oid
              AND c.oid NOT IN (SELECT written.oid FROM written)
           UNION ALL
           SELECT 'uses', o.oprowner FROM pg_operator o
            WHERE u.class = 'pg_operator'::regclass AND o.oid = u.oid
           UNION ALL
           SELECT 'uses', c.opcowner FROM pg_opclass c
            WHERE u.class = 'pg_opclass'::regclass AND c.oid = u.oid
           UNION ALL
           SELECT 'uses', f.opfowner FROM pg_opfamily f
            WHERE u.class = 'pg_opfamily'::regclass AND f.oid = u.oid
           OFFSET 0) AS one (verb, owner)
      JOIN pg_roles r ON r.oid = one.owner
     WHERE r.oid <> me.oid AND NOT r.rolsuper
    UNION
    SELECT 4, format('%s uses %s; a trigger function can do the same',
                     pg_describe_object('pg_rewrite'::regclass, rule.oid, 0),
                     pg_describe_object('pg_class'::regclass, rule.uses, 0))
      FROM rule
    UNION ALL
    SELECT 4, 'triggers, rules, policies and types of its tables use too much code to check'
     WHERE (SELECT count(*) FROM code) > 20000
    UNION ALL
    {{shadowing_objects}}
), one AS (
    SELECT r.oid, r.rolname
      FROM me JOIN pg_roles r ON r.oid = coalesce(
               (SELECT c.relowner FROM pg_class c
                 WHERE c.relnamespace = {{schema}} AND c.relname = 'procrastinate_jobs'),
               me.oid)
)
-- A line break in a name must not begin a line of the message.
SELECT array_to_string((array_agg(regexp_replace(f.text, '[[:cntrl:]]', ' ', 'g') || '.'
                                  ORDER BY f.rank, f.text))[1:5], E'\n')
           || CASE WHEN count(*) > 1000 THEN E'\nAnd many more.'
                   WHEN count(*) > 5 THEN format(E'\nAnd %s more.', count(*) - 5) ELSE '' END
           AS detail,
       CASE WHEN count(*) = 0 THEN NULL
            WHEN (SELECT one.oid <> me.oid FROM one, me)
            THEN (SELECT format('Connect as role %I.', one.rolname) FROM one)
            ELSE (SELECT format('Look at them first. Give what is Procrastinate''s to role %I, '
                                'and drop what is not.', one.rolname)
                         || coalesce((SELECT string_agg(
                                                 CASE WHEN o.can_be_given
                                                      THEN format(E'\nALTER %s %s OWNER TO %I;',
                                                                  upper(o.kind), o.identity,
                                                                  one.rolname)
                                                      ELSE format(E'\nDROP %s %s;', upper(o.kind),
                                                                  o.identity) END,
                                                 '' ORDER BY o.rank, o.identity)
                                        FROM (SELECT * FROM object o
                                               WHERE o.owner <> one.oid
                                                 AND length(o.identity) <= 1000
                                               ORDER BY o.rank, o.identity LIMIT 200) o), '')
                         || coalesce((SELECT string_agg(DISTINCT format(E'\nDROP %s;',
                                                                        rule.identity), '')
                                        FROM rule), '')
                    FROM one)
       END AS hint
  FROM finding f
