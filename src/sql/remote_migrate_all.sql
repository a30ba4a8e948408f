-- On another server: the body of a DO block that migrates its installations. A template.
--
-- {{check}}     remote_check_extension.sql
-- {{extension}} schema of the extension, quoted
-- {{target}}    a literal
-- {{schemas}}   an array
-- {{options}}   named arguments, each after a comma
DECLARE
    owner name;
    is_kept boolean := true;
BEGIN
{{check}}    CALL {{extension}}.procrastinate_migrate_all({{target}}::text,
                                                 schemas => {{schemas}}{{options}});
END
