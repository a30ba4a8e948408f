-- Foreign servers with PostgreSQL on them that the current role may use, by name.
--
-- Returns the OID, the name, the owner's name, and whether a superuser may connect there: only if
-- the owner is a superuser. The owner says where the server is, and may create user mappings for
-- any role.

SELECT s.oid, s.srvname::text, r.rolname::text, r.rolsuper OR NOT me.rolsuper
  FROM pg_catalog.pg_foreign_server s
  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  JOIN pg_catalog.pg_roles r ON r.oid = s.srvowner
  JOIN pg_catalog.pg_roles me ON me.rolname = current_user
 WHERE w.fdwname IN ('dblink_fdw', 'postgres_fdw')
   AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
 ORDER BY s.srvname
