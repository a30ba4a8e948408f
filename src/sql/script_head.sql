-- The schema of head in an offline script. A template. The bodies of functions name tables that
-- are not on the search_path, so they are not checked.
--
-- {{sql}} head.sql with the schema's name

SET LOCAL check_function_bodies = off;

{{sql}}
SET LOCAL check_function_bodies = on;
