-- Appends a row to the history table. A template: the library runs it with parameters, and the
-- offline script contains it with expressions. A lock on the table (SHARE ROW EXCLUSIVE or
-- stronger) makes the id unique.
--
-- {{table}}              name of the table, quoted and qualified as the caller needs it
-- {{values}}             expressions for event, from_revision, to_revision, duration and version
-- {{system_identifier}}  expression for the server's
-- {{database_oid}}       expression for the database's

INSERT INTO {{table}} (id, system_identifier, database_oid, applied_by, event, from_revision,
                       to_revision, duration, version)
VALUES ((SELECT coalesce(max(h.id), 0) + 1 FROM ONLY {{table}} h
          WHERE h.system_identifier = {{system_identifier}} AND h.database_oid = {{database_oid}}),
        {{system_identifier}}, {{database_oid}}, session_user, {{values}});
