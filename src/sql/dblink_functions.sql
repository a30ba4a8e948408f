-- The functions of contrib's dblink that RemoteSession calls, in the order of its DblinkFunction,
-- and whether the current role may execute each. No row for one that does not exist, so none
-- without dblink.
--
-- Members of the extension, in C: only a superuser can create such functions, and no other role can
-- put one in their place.

SELECT p.oid, pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
       AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'e'
  JOIN pg_catalog.pg_proc p ON p.oid = d.objid
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
  JOIN (VALUES (1, 'dblink_connect(text, text)'),
               (2, 'dblink_cancel_query(text)'),
               (3, 'dblink_disconnect(text)'),
               (4, 'dblink_exec(text, text)'),
               (5, 'dblink(text, text)'),
               (6, 'dblink_send_query(text, text)'),
               (7, 'dblink_is_busy(text)'),
               (8, 'dblink_get_result(text)')) AS wanted (place, signature)
    ON wanted.signature = p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
 WHERE e.extname = 'dblink'
 ORDER BY wanted.place
