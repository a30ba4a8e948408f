-- Refuses what must not run as the role that runs a script for psql: code and objects of other
-- roles, and the role itself after SET ROLE. A template for the DO blocks of scripts, which have
-- the variables schema_name, schema_oid and names, and the record untrusted.
--
-- {{foreign_objects}} the query foreign_objects.sql over schema_oid and names

    IF NOT EXISTS (SELECT FROM pg_namespace n
                    WHERE n.oid = schema_oid AND n.nspname = schema_name) THEN
        RAISE EXCEPTION 'schema "%" has been dropped or renamed by another session', schema_name
            USING ERRCODE = '3F000';
    END IF;
    SELECT s.detail, s.hint
      INTO untrusted
      FROM (
{{foreign_objects}}          ) s;
    IF untrusted.detail IS NOT NULL THEN
        RAISE EXCEPTION 'role "%" may not change the installation in schema "%"',
            current_user, schema_name
            USING ERRCODE = '42501', DETAIL = untrusted.detail, HINT = untrusted.hint;
    END IF;
    -- The role that has logged in, also after SET SESSION AUTHORIZATION.
    IF EXISTS (SELECT FROM pg_stat_get_activity(pg_backend_pid()) a
                 JOIN pg_roles r ON r.oid = a.usesysid
                WHERE r.rolname <> current_user) THEN
        RAISE EXCEPTION 'this script must not run as role "%" after SET ROLE', current_user
            USING ERRCODE = '42501',
                DETAIL = 'A trigger of that role could RESET ROLE or RESET SESSION '
                    'AUTHORIZATION, and act as the role that has logged in.',
                HINT = format('Connect as role %I.', current_user);
    END IF;
