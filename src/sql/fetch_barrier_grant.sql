-- The statements that let roles lock the fetch barrier's table in ACCESS SHARE mode: those to which
-- UPDATE on procrastinate_jobs, or on a column of it, has been granted. Other roles cannot keep the
-- barrier from being closed. What default privileges have given on the table is revoked: a role
-- that may write to it could keep the barrier closed.
--
-- $1 OID of the schema
--
-- Returns one row; NULL if there is nothing to do.

select nullif(concat_ws('; ',
              (select format('REVOKE ALL ON TABLE %I.procrastinate_fetch_barrier FROM %s',
                             n.nspname,
                             string_agg(distinct case when g.grantee = 0 then 'PUBLIC'
                                                      else quote_ident(r.rolname) end, ', '))
                 from pg_class b
                cross join lateral aclexplode(b.relacl) as g
                 left join pg_roles r on r.oid = g.grantee
                where b.relnamespace = $1 and b.relname = 'procrastinate_fetch_barrier'
                  and g.grantee <> b.relowner
               having count(*) > 0),
              (select format('GRANT SELECT ON TABLE %I.procrastinate_fetch_barrier TO %s',
                             n.nspname,
                             string_agg(distinct case when g.grantee = 0 then 'PUBLIC'
                                                      else quote_ident(r.rolname) end, ', '))
                 from pg_class c
                 join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
                cross join lateral (select * from aclexplode(c.relacl)
                                     union select * from aclexplode(a.attacl)) as g
                 left join pg_roles r on r.oid = g.grantee
                where c.relnamespace = $1 and c.relname = 'procrastinate_jobs' and c.relkind = 'r'
                  and g.privilege_type = 'UPDATE' and (g.grantee = 0 or r.oid <> c.relowner)
               having count(*) > 0)), '')
  from pg_namespace n
 where n.oid = $1
