-- On another server: the call that migrates its installations.
CALL {{extension}}.procrastinate_migrate_all({{target}}::text, schemas => {{schemas}}{{options}})
