-- The privileges and settings of an installation's objects before a change, as the text of a JSON
-- array: copied_grants.sql reads it after the change, in the same transaction. A template.
--
-- {{objects}}       granted_objects.sql
-- {{with_settings}} true if functions shall keep their settings, an expression
--
-- Returns one row; NULL if there is nothing to copy: no object has privileges that differ from the
-- server's defaults, and no function has settings.

select case when count(o.acl) + count(o.settings) > 0 then
                jsonb_agg(case when {{with_settings}} then to_jsonb(o)
                               else to_jsonb(o) - 'settings' end)::text end
  from (
{{objects}}) o
