-- Drops procrastinate_version with its rows: nothing uses it. It may be gone already.
-- ACCESS EXCLUSIVE on procrastinate_version, for a moment; workers do not read this table.

DROP TABLE IF EXISTS procrastinate_version;
