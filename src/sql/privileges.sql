-- Privileges of the current role that a change needs.
--
-- $1 OID of the installation's schema
--
-- Returns whether the role has CREATE on the schema, USAGE on the schema, and USAGE on the
-- language plpgsql (false if the language does not exist).

SELECT has_schema_privilege($1, 'CREATE'),
       has_schema_privilege($1, 'USAGE'),
       coalesce((SELECT has_language_privilege(oid, 'USAGE')
                   FROM pg_language WHERE lanname = 'plpgsql'), false)
