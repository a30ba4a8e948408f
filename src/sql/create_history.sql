-- Creates the history table, readable by every role. A template: the library runs it, and the
-- offline script contains it, so that both make the same table.
--
-- {{table}} name of the table, quoted and qualified as the caller needs it
--
-- A row says which database has written it. Replication, a restore of the data alone or a copy
-- between servers can bring rows of others: they neither count nor collide.
--
-- The id is no sequence's: with wal_level = minimal, a sequence that is created and used in the
-- same transaction can return the same number again after a crash.

CREATE TABLE {{table}} (
    id bigint,
    event text NOT NULL,
    from_revision text NOT NULL,
    to_revision text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT session_user,
    duration interval NOT NULL,
    version text NOT NULL,
    system_identifier bigint,
    database_oid oid,
    PRIMARY KEY (system_identifier, database_oid, id)
);
COMMENT ON TABLE {{table}} IS
    'changes that procrastinate_migrate made to this schema; to_revision of the last row that '
    'this database has written is the current revision';
GRANT SELECT ON TABLE {{table}} TO PUBLIC;
