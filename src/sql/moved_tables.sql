-- Tables of an installation under another name or in another schema than its jobs table. A rename
-- or a move keeps the foreign keys that this goes by.
--
-- $1 OID of the installation's schema
--
-- Returns the name that the table had, and the name of its schema and its own as identifiers, and
-- whether it is in another schema; at most ten.
--
-- Other roles can make tables with the same evidence. So only tables of the jobs table's owner
-- count.

select e.name, quote_ident(n.nspname), quote_ident(t.relname), n.oid <> $1
  from pg_class jobs
  join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = jobs.oid
                  and d.classid = 'pg_constraint'::regclass
  join pg_constraint k on k.oid = d.objid and k.contype = 'f'
  join (values ('procrastinate_events', 'procrastinate\_events\_%', true),
               ('procrastinate_periodic_defers', 'procrastinate\_periodic\_defers\_%', true),
               ('procrastinate_workers', 'procrastinate\_jobs\_worker\_id\_%', false))
       e (name, key, is_referrer) on k.conname like e.key
  join pg_class t on t.oid = case when e.is_referrer then k.conrelid else k.confrelid end
                 and jobs.oid = case when e.is_referrer then k.confrelid else k.conrelid end
  join pg_namespace n on n.oid = t.relnamespace
 where jobs.relnamespace = $1 and jobs.relname = 'procrastinate_jobs'
   and t.relkind = 'r' and t.relowner = jobs.relowner
   and not exists (select from pg_class other
                    where other.relnamespace = $1 and other.relname = e.name)
 group by e.name, n.oid, n.nspname, t.oid, t.relname
 order by e.name
 limit 10
