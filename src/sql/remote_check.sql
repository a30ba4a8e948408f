-- On another server: the body of a DO block that only checks. A template.
--
-- {{check}} remote_check_extension.sql
DECLARE
    owner name;
BEGIN
{{check}}END
