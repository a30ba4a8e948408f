-- On another server: the session ends its statement when its client has gone.
SET search_path = pg_catalog, pg_temp;
SET client_connection_check_interval = '1s';
