-- Whether a setting has its value from a default of the database (ALTER DATABASE ... SET) that
-- another role may have given it: the database belongs neither to a superuser, nor to the session's
-- role, nor to the current role.
--
-- $1 name of the setting
--
-- Returns one row with one boolean.

SELECT s.source = 'database' AND NOT r.rolsuper AND r.rolname NOT IN (session_user, current_user)
  FROM pg_settings s, pg_database d JOIN pg_roles r ON r.oid = d.datdba
 WHERE s.name = $1 AND d.datname = current_database()
