-- Foreign servers with PostgreSQL on them that the current role may use, by name.
SELECT s.oid, s.srvname::text
  FROM pg_catalog.pg_foreign_server s
  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
 WHERE w.fdwname IN ('dblink_fdw', 'postgres_fdw')
   AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
 ORDER BY s.srvname
