-- Tables of this database that have the history's name.
--
-- $1 key of the advisory lock of sessions that run procrastinate_migrate()
--
-- Returns the OIDs of schema and table, true if procrastinate_migrate() runs in the schema, and
-- true if the current role may read the table.

select n.oid, c.oid,
       exists (select from pg_locks l join pg_database d on d.oid = l.database
                where l.locktype = 'advisory' and l.objsubid = 3 and l.classid = $1
                  and l.objid = n.oid and d.datname = current_database()),
       has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relname = 'procrastinate_schema_history' and c.relkind = 'r'
   and c.relpersistence <> 't'
 order by n.nspname
