-- On another server: the body of a DO block that refuses to go on if the name of this extension's
-- schema could lead to another role's code. A template.
--
-- {{name}} the name that the schema had, as a literal
-- {{call}} remote_migrate_all.sql, or nothing
--
-- Who can create objects in the schema could put code in the place of the extension's between this
-- check and the call. So the schema must belong to a superuser or to one of the session's roles,
-- and no other role may have CREATE on it. A superuser trusts superusers only, and keeps the
-- schema's name and owner until the end of the transaction; the session has read the name anew
-- after that.

DECLARE
    is_superuser boolean := (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user);
    untrusted text;
    is_kept boolean := true;
BEGIN
    IF is_superuser THEN
        PERFORM FROM pg_namespace n WHERE n.nspname = {{name}} FOR KEY SHARE;
        is_kept := FOUND;
    END IF;
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE format('role "%s"', o.rolname) END
      INTO untrusted
      FROM pg_namespace n
      JOIN pg_database d ON d.datname = current_database()
     CROSS JOIN LATERAL (
           SELECT n.nspowner AS grantee
            UNION ALL
           SELECT x.grantee FROM aclexplode(n.nspacl) x WHERE x.privilege_type = 'CREATE') a
      LEFT JOIN pg_roles s ON s.oid = a.grantee
      LEFT JOIN pg_roles o
        ON o.oid = CASE s.rolname WHEN 'pg_database_owner' THEN d.datdba ELSE s.oid END
     WHERE n.nspname = {{name}} AND o.rolsuper IS NOT TRUE
       AND (is_superuser OR o.oid IS NULL OR NOT pg_has_role(o.oid, 'USAGE'))
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" of extension procrastinate_migrate is open to %',
            {{name}}, untrusted
            USING ERRCODE = '42501',
                DETAIL = 'It could put code of its own in the place of the extension''s.',
                HINT = CASE WHEN is_superuser
                            THEN 'Connect as the role that owns the installations. Or on that '
                                 'server, put the extension into a schema of a superuser''s, in '
                                 'which no other role has CREATE.'
                            ELSE 'Connect as a role that trusts it, or put the extension into '
                                 'a schema of a superuser''s.' END;
    END IF;
    IF NOT is_kept
       OR NOT EXISTS (SELECT FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                       WHERE e.extname = 'procrastinate_migrate' AND n.nspname = {{name}}) THEN
        RAISE EXCEPTION 'schema "%" of extension procrastinate_migrate has been renamed', {{name}}
            USING ERRCODE = '55000';
    END IF;
    IF EXISTS (SELECT FROM pg_proc p
                 JOIN pg_namespace n ON n.oid = p.pronamespace
                 JOIN pg_language l ON l.oid = p.prolang
                WHERE n.nspname = {{name}} AND p.proname = 'procrastinate_migrate_all'
                  AND l.lanname <> 'c') THEN
        RAISE EXCEPTION 'schema "%" holds a procedure procrastinate_migrate_all() that is not of '
            'extension procrastinate_migrate', {{name}}
            USING ERRCODE = '42501';
    END IF;
{{call}}END
