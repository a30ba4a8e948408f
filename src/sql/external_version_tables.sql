-- Tables alembic_version and django_migrations that the current role may read, those of the
-- installation's schema first. The names are looked up by an index.
--
-- $1 OID of the installation's schema
--
-- Returns the table's OID, whether it is in that schema, its qualified name, and whether it is
-- Alembic's.

SELECT c.oid, n.oid = $1 AS is_own, c.oid::regclass::text, c.relname = 'alembic_version'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname IN ('alembic_version', 'django_migrations') AND c.relkind = 'r'
   AND c.relpersistence <> 't'
   AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY 2 DESC, 3
