-- On another server: the body of a DO block that only checks. A template.
--
-- {{check}} remote_check_extension.sql
DECLARE
    owner name;
    is_kept boolean := true;
BEGIN
{{check}}END
