-- Virtual transactions of this extension's sessions in this database, which fetch no job.
--
-- $1 key of the advisory lock of sessions that run procrastinate_migrate()
-- $2 key of the advisory lock of sessions that wait for others
-- $3 key of the advisory lock of background workers that build an index
--
-- Returns the two parts of each virtual transaction id.

select split_part(virtualtransaction, '/', 1)::int4, split_part(virtualtransaction, '/', 2)::int8
  from pg_locks
 where locktype = 'advisory' and objsubid = 3 and classid in ($1, $2, $3)
   and database = (select oid from pg_database where datname = current_database())
