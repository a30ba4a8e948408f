-- Tables of this database that have the history's name and that the caller may read.
--
-- $1 key of the advisory lock of sessions that run procrastinate_migrate()
--
-- Returns the OIDs of schema and table, and true if procrastinate_migrate() runs in the schema: by
-- a role that may change the jobs, as any role can take the advisory lock.

select n.oid, c.oid,
       exists (select from pg_locks l
                      join pg_database d on d.oid = l.database
                      left join pg_stat_activity a on a.pid = l.pid
                      left join pg_class j on j.relnamespace = n.oid
                                          and j.relname = 'procrastinate_jobs'
                where l.locktype = 'advisory' and l.objsubid = 2 and l.classid = $1
                  and l.objid = n.oid and d.datname = current_database()
                  and (j.oid is null or pg_has_role(a.usesysid, j.relowner, 'MEMBER')))
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relname = 'procrastinate_schema_history' and c.relkind = 'r'
   and has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
 order by n.nspname
