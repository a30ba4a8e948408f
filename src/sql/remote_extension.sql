-- On another server: the name of this extension's schema. No row if it is not installed.
SELECT n.nspname::text
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'procrastinate_migrate'
