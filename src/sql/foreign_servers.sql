-- Foreign servers with PostgreSQL on them that the current role may use, by name.
--
-- Returns the OID, the name, the owner's name, whether the owner is trusted, and whether the
-- current role is a superuser. The owner says where the server is, and may create user mappings for
-- any role. A superuser trusts superusers, another role those and its own.

SELECT s.oid, s.srvname::text, o.rolname::text,
       o.rolsuper OR NOT me.rolsuper AND pg_catalog.pg_has_role(o.oid, 'USAGE'), me.rolsuper
  FROM pg_catalog.pg_foreign_server s
  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  JOIN pg_catalog.pg_roles o ON o.oid = s.srvowner
  JOIN pg_catalog.pg_roles me ON me.rolname = current_user
 WHERE w.fdwname IN ('dblink_fdw', 'postgres_fdw')
   AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
 ORDER BY s.srvname
