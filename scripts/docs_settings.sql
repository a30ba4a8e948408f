-- The generated part of docs/settings.md: the settings of the extension, from pg_settings. Markdown,
-- a text a row. The library must be loaded.
SELECT format(E'## %s\n\n%s %s\n\n| default | values | who may set it |\n|---|---|---|\n| %s | %s | %s |\n',
              s.name, s.short_desc, s.extra_desc,
              CASE WHEN s.boot_val = '' THEN 'empty'
                   WHEN s.unit = 'kB'
                   THEN '`' || CASE WHEN s.unit = 'kB' THEN s.boot_val::int / 1024 END || 'MB`'
                   ELSE '`' || s.boot_val || '`' END,
              CASE WHEN s.enumvals IS NOT NULL
                   THEN (SELECT string_agg('`' || v || '`', ', ' ORDER BY n)
                           FROM unnest(s.enumvals) WITH ORDINALITY AS e (v, n))
                   WHEN s.vartype = 'integer' AND s.unit = 'kB'
                   THEN 'a size; at least ' || s.min_val
                   WHEN s.vartype = 'integer' THEN s.min_val || ' to ' || s.max_val
                   WHEN s.vartype = 'bool' THEN '`on`, `off`'
                   ELSE 'text' END,
              CASE s.context WHEN 'user' THEN 'any role, in its session'
                   ELSE 'a superuser, or a role that has been granted `SET` on it' END)
  FROM pg_settings s
 WHERE s.name LIKE 'procrastinate\_migrate.%'
 ORDER BY s.name
