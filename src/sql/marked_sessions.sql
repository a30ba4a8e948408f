-- Virtual transactions of the sessions that run procrastinate_migrate() or procrastinate_wait() in
-- this database.
--
-- $1 key of the advisory lock of sessions that run procrastinate_migrate()
-- $2 key of the advisory lock of sessions that run procrastinate_wait()
--
-- Returns the two parts of each virtual transaction id.

select split_part(virtualtransaction, '/', 1)::int4, split_part(virtualtransaction, '/', 2)::int8
  from pg_locks
 where locktype = 'advisory' and objsubid = 3 and classid in ($1, $2)
   and database = (select oid from pg_database where datname = current_database())
