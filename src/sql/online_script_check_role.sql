-- The checks of script_check_role.sql as the code of a DO block in a setting: online scripts run it
-- once the history is locked, and again once the tables are locked.
--
-- {{check_role}} script_check_role.sql

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    schema_oid CONSTANT oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name);
    names CONSTANT text[] := string_to_array(current_setting('procrastinate_script.names'), ' ');
    untrusted record;
BEGIN
{{check_role}}END
