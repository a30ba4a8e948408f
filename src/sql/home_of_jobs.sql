-- The schema from which a jobs table was moved: a table procrastinate_events of the same owner is
-- still there, and references it.
--
-- $1 OID of the schema in which the jobs table is
--
-- Returns that schema's name as an identifier; no row if nothing was found.

select quote_ident(n.nspname)
  from pg_class jobs
  join pg_constraint k on k.confrelid = jobs.oid and k.contype = 'f'
  join pg_class c on c.oid = k.conrelid and c.relowner = jobs.relowner
  join pg_namespace n on n.oid = c.relnamespace
 where jobs.relnamespace = $1 and jobs.relname = 'procrastinate_jobs'
   and n.oid <> $1 and c.relname = 'procrastinate_events'
   and not exists (select from pg_class other
                    where other.relnamespace = n.oid and other.relname = 'procrastinate_jobs')
 order by n.nspname
 limit 1
