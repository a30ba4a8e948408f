-- On another server: the session ends its statement when its client has gone.
-- SET ROLE NONE: a default of the database could make a superuser act as another role, whose code
-- could go back to the superuser.
SET ROLE NONE;
SET search_path = pg_catalog, pg_temp;
SET client_connection_check_interval = '1s';
