-- The statements that give the objects which a migration has created the privileges of those that
-- they succeed, and functions which it has created or replaced their settings (ALTER FUNCTION ...
-- SET). A template.
--
-- {{objects}}     granted_objects.sql
-- {{before}}      what remembered_grants.sql returned before the migration, an expression of type
--                 text
-- {{is_settable}} is_settable.sql
--
-- A new object succeeds the objects of its kind that had its name. Else a function succeeds the
-- function of its family with the highest version. A function that has no predecessor gets the
-- privileges of the newest fetch functions, because the code that fetches calls it, and the
-- settings that all functions had; without a fetch function it gets the privileges that all
-- functions had. A trigger function gets those of all trigger functions. Another table, sequence or
-- type gets the privileges of the jobs table, its sequence or its status.
--
-- Privileges are added. Only PUBLIC, to which the server gives EXECUTE on functions and USAGE on
-- types, loses what it did not have on the predecessors. The current role, which owns the objects,
-- is the grantor of all. It owns no function of another role; such are left out.
--
-- Returns the statements. In the second column NULL; or a message if the current role may not run
-- the statement, because it sets what only a superuser can set.

with before as materialized (
    select *
      from jsonb_to_recordset(({{before}})::jsonb)
           as b (kind text, oid oid, name text, family text, version int, acl aclitem[],
                 settings text[])
), now as materialized (
    select o.*, case o.kind when 't' then 'f' else o.kind end::"char" as acl_kind,
           case when o.kind in ('f', 't') then o.oid::regprocedure::text
                else format('%I.%I', n.nspname, o.name) end as identity,
           case o.kind when 'r' then 'TABLE' when 's' then 'SEQUENCE' when 'T' then 'TYPE'
                else 'FUNCTION' end as word
      from (
{{objects}}) o
      join pg_roles r on r.oid = o.owner and r.rolname = current_user
      join pg_namespace n on n.oid = {{schema}}
), candidate as (
    select f.kind, f.oid, b.oid as model, b.acl, b.settings, b.version,
           case when b.oid = f.oid then 0
                when b.name = f.name then 1
                when b.family = f.family then 2
                when f.kind = 't' or b.family = 'procrastinate_fetch_job'
                     or b.name in ('procrastinate_jobs', 'procrastinate_jobs_id_seq',
                                   'procrastinate_job_status')
                then 3
                when f.kind = 'f' then 4 end as distance
      from now f join before b on b.kind = f.kind
), model as (
    select m.*
      from (select c.*, rank() over (
                            partition by c.kind, c.oid
                                order by c.distance,
                                      case when c.distance < 3
                                                or c.distance = 3 and c.kind = 'f'
                                           then c.version end desc) as place
              from candidate c where c.distance is not null) m
     where m.place = 1
), due as (
    select m.kind, m.oid, a.grantee, a.privilege_type,
           case when m.distance < 4 then bool_or(a.is_grantable)
                else bool_and(a.is_grantable) end as is_grantable
      from model m
      join now n on n.kind = m.kind and n.oid = m.oid
     cross join lateral aclexplode(coalesce(m.acl, acldefault(n.acl_kind, n.owner))) a
     where m.distance > 0 and a.grantee <> n.owner
     group by m.kind, m.oid, m.distance, a.grantee, a.privilege_type
    having m.distance < 4
        or count(distinct m.model) = (select count(*) from before b where b.kind = m.kind)
), held as (
    select n.kind, n.oid, a.grantee, a.privilege_type, bool_or(a.is_grantable) as is_grantable
      from now n
     cross join lateral aclexplode(coalesce(n.acl, acldefault(n.acl_kind, n.owner))) a
     where exists (select from model m
                    where m.kind = n.kind and m.oid = n.oid and m.distance > 0)
     group by n.kind, n.oid, a.grantee, a.privilege_type
), wanted as (
    select m.kind, m.oid, s.setting
      from model m cross join lateral unnest(m.settings) s (setting)
     where m.distance < 3
    union
    select m.kind, m.oid, c.setting
      from model m
      join (select b.kind, s.setting
              from before b cross join lateral unnest(b.settings) s (setting)
             group by b.kind, s.setting
            having count(*) = (select count(*) from before a where a.kind = b.kind)) c
           on c.kind = m.kind
     where m.distance >= 3
), setting as (
    select distinct on (n.oid, v.name) n.identity, v.name, v.value,
           {{is_settable}} as is_allowed
      from wanted w
      join now n on n.kind = w.kind and n.oid = w.oid
     cross join lateral (
           select split_part(w.setting, '=', 1) as name,
                  substr(w.setting, strpos(w.setting, '=') + 1) as value) v
     where not exists (select from unnest(n.settings) s (setting)
                        where split_part(s.setting, '=', 1) = v.name)
     order by n.oid, v.name, v.value
)
select format('REVOKE %s ON %s %s FROM PUBLIC', h.privilege_type, n.word, n.identity) as statement,
       null::text as warning
  from held h
  join now n on n.kind = h.kind and n.oid = h.oid
 where h.grantee = 0 and h.kind in ('f', 't', 'T')
   and not exists (select from due d
                    where d.kind = h.kind and d.oid = h.oid and d.grantee = 0)
union all
select format('GRANT %s ON %s %s TO %s%s',
              string_agg(d.privilege_type, ', ' order by d.privilege_type), n.word, n.identity,
              case when d.grantee = 0 then 'PUBLIC' else quote_ident(r.rolname) end,
              case when d.is_grantable then ' WITH GRANT OPTION' end), null
  from due d
  join now n on n.kind = d.kind and n.oid = d.oid
  left join pg_roles r on r.oid = d.grantee
 where (d.grantee = 0 or r.oid is not null)
   and not exists (select from held h
                    where h.kind = d.kind and h.oid = d.oid and h.grantee = d.grantee
                      and h.privilege_type = d.privilege_type
                      and (h.is_grantable or not d.is_grantable))
 group by n.oid, n.word, n.identity, d.grantee, r.rolname, d.is_grantable
union all
-- The value of a list is a list of identifiers: each element becomes a literal, as in
-- pg_get_functiondef().
select format('ALTER FUNCTION %s SET %I TO %s', s.identity, s.name,
              case when s.name in ('local_preload_libraries', 'search_path',
                                   'session_preload_libraries', 'temp_tablespaces')
                   then coalesce(l.literals, quote_literal('')) else quote_literal(s.value) end),
       case when not s.is_allowed then
                format('setting "%s" of function %s could not be kept', s.name, s.identity) end
  from setting s
 cross join lateral (
       select string_agg(quote_literal(coalesce(replace(e.part[1], '""', '"'), lower(e.part[2]))),
                         ', ' order by e.place) as literals
         from regexp_matches(s.value, '"((?:[^"]|"")*)"|([^,[:space:]]+)', 'g')
              with ordinality as e (part, place)) l
