-- Schemas to which the tables of a history may have been moved without it: they have a jobs table
-- of the history's owner, and no history.
--
-- $1 OID of the schema that has the history
--
-- Returns their names as identifiers, two rows at most.

select quote_ident(n.nspname)
  from pg_class h
  join pg_class c on c.relowner = h.relowner
  join pg_namespace n on n.oid = c.relnamespace
 where h.relnamespace = $1 and h.relname = 'procrastinate_schema_history'
   and c.relname = 'procrastinate_jobs' and c.relkind = 'r' and c.relpersistence <> 't'
   and not exists (select from pg_class o
                    where o.relnamespace = n.oid and o.relname = 'procrastinate_schema_history')
 limit 2
