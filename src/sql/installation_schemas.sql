-- Schemas of this database that hold tables of Procrastinate's names: an installation, or what is
-- left of one. Finds them by the index of names, so that other tables cost nothing.
--
-- $1 names of the tables, separated by blanks
--
-- Returns the OIDs of the schema and of its history, or NULL; true if the current role may look
-- into the schema and read the history; the rows of the jobs table as the server estimates them, or
-- NULL.

select n.oid, max(c.oid) filter (where c.relname = 'procrastinate_schema_history'),
       has_schema_privilege(n.oid, 'USAGE')
       and bool_and(c.relname <> 'procrastinate_schema_history'
                    or has_table_privilege(c.oid, 'SELECT')),
       max(c.reltuples::bigint) filter (where c.relname = 'procrastinate_jobs'
                                          and c.reltuples >= 0)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relname = any ((select string_to_array($1, ' ')::name[])::name[])
   and c.relkind in ('r', 'p') and c.relpersistence <> 't'
 group by n.oid, n.nspname
 order by n.nspname
