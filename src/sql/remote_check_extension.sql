-- On another server: the body of a DO block that refuses to go on if the name of this extension's
-- schema could lead to another role's code. A template.
--
-- {{name}} the name that the schema had, as a literal
-- {{call}} remote_migrate_all.sql, or nothing
--
-- The owner of a database can own this schema and rename it. A superuser keeps its name until the
-- end of the transaction; the session has read it anew after that. Another role cannot, and trusts
-- only its own roles and superusers. Only a superuser can create a procedure in C.

DECLARE
    owner name;
    is_kept boolean := true;
BEGIN
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.nspname = {{name}} FOR KEY SHARE;
        is_kept := FOUND;
    ELSE
        SELECT o.rolname INTO owner
          FROM pg_namespace n
          JOIN pg_database d ON d.datname = current_database()
          JOIN pg_roles s ON s.oid = n.nspowner
          JOIN pg_roles o
            ON o.oid = CASE s.rolname WHEN 'pg_database_owner' THEN d.datdba ELSE s.oid END
         WHERE n.nspname = {{name}} AND NOT o.rolsuper AND NOT pg_has_role(o.oid, 'USAGE');
        IF FOUND THEN
            RAISE EXCEPTION 'schema "%" of extension procrastinate_migrate belongs to role "%"',
                {{name}}, owner
                USING ERRCODE = '42501',
                    DETAIL = 'It could put code of its own in the place of the extension''s.',
                    HINT = 'Connect as that role, or as a superuser.';
        END IF;
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
