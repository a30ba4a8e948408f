-- Drops the table procrastinate_version, which nothing uses. It may have been dropped before.
-- Locks: ACCESS EXCLUSIVE on procrastinate_version for a moment. Workers do not read this table.

DROP TABLE IF EXISTS procrastinate_version;
