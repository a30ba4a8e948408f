-- Appends a row to the history table. A template: the library runs it with parameters, and the
-- offline script contains it with literals. A lock on the table (SHARE ROW EXCLUSIVE or stronger)
-- makes the id unique.
--
-- {{table}}   name of the table, quoted and qualified as the caller needs it
-- {{values}}  expressions for event, from_revision, to_revision, duration and version

INSERT INTO {{table}} (id, applied_by, event, from_revision, to_revision, duration, version)
VALUES ((SELECT coalesce(max(h.id), 0) + 1 FROM ONLY {{table}} h), session_user, {{values}});
