-- Privileges that roles lack which have the queue's rights: USAGE on the schema, and SELECT, INSERT
-- and UPDATE on the jobs table, by a grant to them and by whatever else gives them privileges.
-- Superusers and the owner lack none. A template.
--
-- {{objects}} granted_objects.sql
-- {{schema}}  OID of the schema, an expression
--
-- Needed are EXECUTE on the functions that clients call, on tables what the bodies of the functions
-- do with them, and USAGE on the sequences of the columns that an INSERT fills. A privilege on a
-- column of a table counts as one on the table.
--
-- Any role that may create functions in the schema can make them many. So the bodies of at most 200
-- functions are read, and there are at most 5000 rows.
--
-- Returns the OID of the object's catalog, the OID of the object, the role as a quoted identifier,
-- and the privileges that it lacks.

with object as materialized (
{{objects}}), role as materialized (
    select r.oid, r.rolname
      from object j
      join pg_roles r
           on r.oid in (select a.grantee from aclexplode(j.acl) a
                         where a.privilege_type in ('SELECT', 'INSERT', 'UPDATE'))
     where j.kind = 'r' and j.name = 'procrastinate_jobs' and r.oid <> j.owner and not r.rolsuper
       and has_schema_privilege(r.oid, {{schema}}, 'USAGE')
       and has_table_privilege(r.oid, j.oid, 'SELECT')
       and has_table_privilege(r.oid, j.oid, 'INSERT')
       and has_table_privilege(r.oid, j.oid, 'UPDATE')
), body as materialized (
    select p.prosrc as text
      from object f
      join pg_proc p on p.oid = f.oid
     where f.kind in ('f', 't') and not p.prosecdef and octet_length(p.prosrc) <= 16000
       and exists (select from role)
     limit 200
), used as materialized (
    select distinct t.oid, s.privilege
      from object t
     cross join (values ('SELECT', '(from|join|update)'), ('INSERT', 'insert\s+into'),
                        ('UPDATE', 'update'), ('DELETE', 'delete\s+from'))
                as s (privilege, command)
      join body b on b.text ~* concat('\m', s.command, '\s+(\w+\.)?', t.name, '\M')
     where t.kind = 'r' and t.name <> 'procrastinate_jobs'
), counted as (
    select s.oid
      from object s
      join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.oid
                      and d.refclassid = 'pg_class'::regclass and d.deptype = 'a'
      join object t on t.kind = 'r' and t.oid = d.refobjid
     where s.kind = 's'
       and (t.name = 'procrastinate_jobs'
            or exists (select from used u where u.oid = t.oid and u.privilege = 'INSERT'))
)
select 'pg_proc'::regclass::oid, f.oid, quote_ident(r.rolname), 'EXECUTE'
  from role r
  join object f on f.kind = 'f'
 where not has_function_privilege(r.oid, f.oid, 'EXECUTE')
union all
select 'pg_class'::regclass::oid, u.oid, quote_ident(r.rolname),
       string_agg(u.privilege, ', ' order by u.privilege)
  from role r
 cross join used u
 where not case when u.privilege = 'DELETE' then has_table_privilege(r.oid, u.oid, u.privilege)
                else has_any_column_privilege(r.oid, u.oid, u.privilege) end
 group by u.oid, r.rolname
union all
select 'pg_class'::regclass::oid, c.oid, quote_ident(r.rolname), 'USAGE'
  from role r
 cross join counted c
 where not has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE')
 order by 1, 2, 3
 limit 5000
