-- The functions, tables, sequences and types of an installation, with their privileges and the
-- settings of the functions. A template: a subquery of remembered_grants.sql, copied_grants.sql and
-- lacking_grants.sql.
--
-- {{schema}} OID of the schema, an expression
-- {{names}}  names of all objects that Procrastinate has had, an expression of type text[]
--
-- Must run under a search_path of pg_catalog alone. Finds the objects as structure.sql does, but
-- only those of the owner of the jobs table: another role must not decide what the owner grants.
--
-- kind is the first argument of acldefault(), and 't' for a trigger function. family is what the
-- name of a function shares with the names of its successors: it lacks the version
-- (procrastinate_fetch_job_v2), and the plural of a function that takes several jobs
-- (procrastinate_defer_jobs_v1 succeeds procrastinate_defer_job_v1).

select case c.relkind when 'S' then 's' else 'r' end as kind, c.oid, c.relname::text as name,
       null::text as family, 0 as version, c.relowner as owner, c.relacl as acl,
       null::text[] as settings
  from pg_class c
 where c.relnamespace = {{schema}} and c.relname = any ((select ({{names}})::name[])::name[])
   and c.relkind in ('r', 'p', 'S')
   and c.relowner = (select j.relowner from pg_class j
                      where j.relnamespace = {{schema}} and j.relname = 'procrastinate_jobs')
union all
select 'T', t.oid, t.typname::text, null, 0, t.typowner, t.typacl, null
  from pg_type t
  left join pg_class c on c.oid = t.typrelid
 where t.typnamespace = {{schema}} and t.typname = any ((select ({{names}})::name[])::name[])
   and (t.typtype = 'e' or c.relkind = 'c')
   and t.typowner = (select j.relowner from pg_class j
                      where j.relnamespace = {{schema}} and j.relname = 'procrastinate_jobs')
union all
select case when p.prorettype = 'trigger'::regtype then 't' else 'f' end, p.oid, p.proname::text,
       regexp_replace(regexp_replace(p.proname, '_v[0-9]+$', ''), '_jobs$', '_job'),
       coalesce(substring(p.proname from '_v([0-9]{1,9})$')::int, 0), p.proowner, p.proacl,
       p.proconfig
  from pg_depend n
  join pg_proc p on p.oid = n.objid
 where n.refclassid = 'pg_namespace'::regclass and n.refobjid = {{schema}}
   and n.classid = 'pg_proc'::regclass and p.proname = any ((select ({{names}})::name[])::name[])
   and p.proowner = (select j.relowner from pg_class j
                      where j.relnamespace = {{schema}} and j.relname = 'procrastinate_jobs')
