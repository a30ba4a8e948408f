-- On another server: the session ends its statement when its client has gone.
-- SET ROLE NONE: a database's default could make
-- a superuser act as another role, and the code of that role could go back.
SET ROLE NONE;
SET search_path = pg_catalog, pg_temp;
SET client_connection_check_interval = '1s';
