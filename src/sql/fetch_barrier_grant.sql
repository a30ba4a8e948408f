-- The statement that lets roles lock the fetch barrier's table in ACCESS SHARE mode: those to which
-- UPDATE on procrastinate_jobs, or on a column of it, has been granted. Other roles cannot keep the
-- barrier from being closed.
--
-- $1 OID of the schema
--
-- Returns one row; NULL if there is no such role.

select format('GRANT SELECT ON TABLE %I.procrastinate_fetch_barrier TO %s', n.nspname,
              string_agg(distinct case when g.grantee = 0 then 'PUBLIC'
                                       else quote_ident(r.rolname) end, ', '))
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
 cross join lateral (select * from aclexplode(c.relacl)
                      union select * from aclexplode(a.attacl)) as g
  left join pg_roles r on r.oid = g.grantee
 where c.relnamespace = $1 and c.relname = 'procrastinate_jobs' and c.relkind = 'r'
   and g.privilege_type = 'UPDATE' and (g.grantee = 0 or r.oid <> c.relowner)
 group by n.nspname
