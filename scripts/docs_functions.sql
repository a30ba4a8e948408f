-- The generated part of docs/functions.md: the functions of the extension in this database, with
-- their arguments, result columns and comments. Markdown, a text a row.
WITH member AS (
    SELECT p.oid, p.proname::text AS name, p.prokind, p.provolatile, p.pronargdefaults, p.pronargs,
           p.proargmodes, p.proargnames, p.prorettype, p.proretset,
           coalesce(p.proallargtypes, p.proargtypes::oid[]) AS types,
           obj_description(p.oid, 'pg_proc') AS comment
      FROM pg_depend d
      JOIN pg_proc p ON p.oid = d.objid
     WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'procrastinate_migrate')
), argument AS (
    SELECT m.oid, a.place, m.proargnames[a.place] AS name, format_type(a.type, NULL) AS type,
           coalesce(m.proargmodes[a.place], 'i') = 'i' AS is_in,
           regexp_replace(pg_get_function_arg_default(m.oid, a.place::int), '::[a-z ]+(\[\])?$', '')
               AS default_value
      FROM member m, unnest(m.types) WITH ORDINALITY AS a (type, place)
), rows_of AS (
    SELECT a.oid,
           string_agg(format(E'| `%s` | %s | %s |\n', a.name,
                             CASE a.type WHEN 'anycompatible' THEN 'name of a schema' ELSE a.type END,
                             CASE WHEN a.default_value IS NULL THEN 'required'
                                  ELSE '`' || a.default_value || '`' END), '' ORDER BY a.place)
               FILTER (WHERE a.is_in) AS arguments,
           string_agg(format(E'| `%s` | %s |\n', a.name, a.type), '' ORDER BY a.place)
               FILTER (WHERE NOT a.is_in) AS columns
      FROM argument a
     GROUP BY a.oid
), section AS (
    SELECT CASE WHEN m.provolatile = 's' THEN 1 ELSE 2 END AS part, m.name, m.oid,
           format(E'### %s%s\n\n%s.\n', CASE m.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, m.name,
                  upper(left(m.comment, 1)) || substr(m.comment, 2))
           || coalesce(E'\n| argument | type | default |\n|---|---|---|\n' || r.arguments, '')
           || CASE WHEN r.columns IS NOT NULL
                   THEN E'\n| column | type |\n|---|---|\n' || r.columns
                   WHEN m.prokind = 'f' AND m.prorettype <> 'void'::regtype
                   THEN format(E'\nReturns %s.\n', format_type(m.prorettype, NULL))
                   ELSE '' END AS text
      FROM member m
      LEFT JOIN rows_of r USING (oid)
    UNION ALL
    SELECT 3, c.relname::text, c.oid,
           format(E'### %s\n\n%s.\n\n| column | type |\n|---|---|\n%s', c.relname,
                  upper(left(obj_description(c.oid, 'pg_class'), 1))
                      || substr(obj_description(c.oid, 'pg_class'), 2),
                  (SELECT string_agg(format(E'| `%s` | %s |\n', a.attname,
                                            format_type(a.atttypid, a.atttypmod)), ''
                                     ORDER BY a.attnum)
                     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
      FROM pg_depend d
      JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'v'
     WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'procrastinate_migrate')
)
SELECT CASE WHEN row_number() OVER (PARTITION BY part ORDER BY name COLLATE "C", oid) = 1
            THEN E'## ' || CASE part WHEN 1 THEN 'Functions that read'
                                     WHEN 2 THEN 'Functions and procedures that change or check'
                                     ELSE 'Views' END || E'\n\n'
            ELSE '' END || text
  FROM section
 ORDER BY part, name COLLATE "C", oid
