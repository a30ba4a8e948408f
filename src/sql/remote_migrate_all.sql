-- On another server: the statement that migrates its installations, at the end of the DO block of
-- remote_check_extension.sql. A template.
--
-- {{extension}} schema of the extension, quoted
-- {{target}}    a literal
-- {{schemas}}   an array
-- {{options}}   named arguments, each after a comma

    CALL {{extension}}.procrastinate_migrate_all({{target}}::text,
                                                 schemas => {{schemas}}{{options}});
