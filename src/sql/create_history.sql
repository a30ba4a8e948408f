-- Creates the history table, readable by every role. A template: the library runs it, and the
-- offline script contains it, so that both make the same table.
--
-- {{table}} name of the table, quoted and qualified as the caller needs it
--
-- The id is no sequence's: with wal_level = minimal, a sequence that is created and used in the
-- same transaction can return the same number again after a crash.

CREATE TABLE {{table}} (
    id bigint PRIMARY KEY,
    event text NOT NULL,
    from_revision text NOT NULL,
    to_revision text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user,
    duration interval NOT NULL,
    version text NOT NULL
);
COMMENT ON TABLE {{table}} IS
    'changes that procrastinate_migrate made to this schema; '
    'to_revision of the last row is the current revision';
GRANT SELECT ON TABLE {{table}} TO PUBLIC;
