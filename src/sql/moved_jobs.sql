-- The jobs table of an installation under another name or in another schema. A rename or a move
-- keeps what this goes by: the foreign keys of the installation's other tables, its primary key's
-- index, the sequence of its id, and the triggers that call functions of the installation.
--
-- $1 OID of the installation's schema
--
-- Returns the name of its schema, that name as an identifier, its own name as an identifier, and
-- whether it is in another schema; no row if nothing was found.
--
-- Other roles can make tables with the same evidence. So only tables of the role that owns the
-- history or the events count. If these belong to two roles, that is the one that owns the schema
-- or is a superuser.

with owner as (
    select c.relowner as oid
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      join pg_roles r on r.oid = c.relowner
     where n.oid = $1 and c.relkind in ('r', 'p')
       and c.relname in ('procrastinate_schema_history', 'procrastinate_events')
     order by c.relowner = n.nspowner or r.rolsuper desc, c.relname desc
     limit 1
), evidence as (
    select k.confrelid as oid, 1 as rank
      from pg_constraint k join pg_class c on c.oid = k.conrelid
     where c.relnamespace = $1 and k.contype = 'f'
       and c.relname in ('procrastinate_events', 'procrastinate_periodic_defers')
       and k.conname like 'procrastinate\_%'
    union all
    select i.indrelid, 2
      from pg_index i join pg_class c on c.oid = i.indexrelid
     where c.relnamespace = $1 and c.relname = 'procrastinate_jobs_pkey'
    union all
    select d.refobjid, 3
      from pg_class c
      join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid
                      and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
     where c.relnamespace = $1 and c.relname = 'procrastinate_jobs_id_seq' and c.relkind = 'S'
       and d.deptype in ('a', 'i')
    union all
    select t.tgrelid, 4
      from pg_trigger t join pg_proc p on p.oid = t.tgfoid
     where p.pronamespace = $1 and not t.tgisinternal
       and t.tgname like 'procrastinate\_jobs\_notify\_%'
)
select n.nspname, quote_ident(n.nspname), quote_ident(c.relname), n.oid <> $1
  from evidence e
  join pg_class c on c.oid = e.oid
  join owner on owner.oid = c.relowner
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and (n.oid <> $1 or c.relname <> 'procrastinate_jobs')
 order by e.rank
 limit 1
