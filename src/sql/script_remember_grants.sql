-- Reads privileges and settings before a migration of an offline script. A template for the DO
-- block of script_step.sql.
--
-- {{remembered_grants}} remembered_grants.sql

    PERFORM set_config('procrastinate_script.grants', (
{{remembered_grants}}), true);
