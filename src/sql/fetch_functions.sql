-- Fetch functions of an installation that the fetch barrier can be put into: PL/pgSQL functions of
-- the current role that return one row of procrastinate_jobs. A template.
--
-- $1              OID of the schema
-- {{is_settable}} is_settable.sql
--
-- Returns the CREATE OR REPLACE statement, the body, the signature and the name. The body is
-- concatenated with an empty text, so that a long one is read while the query has a snapshot.
-- Columns 5 and 6 are NULL; or, if the function has settings that the current role may not give it,
-- their names, and the statements that reset them.

select pg_get_functiondef(p.oid), p.prosrc || '', p.oid::regprocedure::text, p.proname::text,
       f.names, f.resets
  from pg_proc p
  join pg_type t on t.oid = p.prorettype
  join pg_class c on c.oid = t.typrelid
  join pg_language l on l.oid = p.prolang
  join pg_roles o on o.oid = p.proowner
 cross join lateral (
       select string_agg(v.name, ', ' order by v.name) as names,
              string_agg(format('ALTER FUNCTION %s RESET %I;', p.oid::regprocedure, v.name), E'\n'
                         order by v.name) as resets
         from (select split_part(u.setting, '=', 1) as name
                 from unnest(p.proconfig) u (setting)) v
        where not {{is_settable}}) f
 where p.pronamespace = $1 and c.relnamespace = $1 and c.relname = 'procrastinate_jobs'
   and not p.proretset and l.lanname = 'plpgsql' and p.proname ~ '^procrastinate_fetch_job'
   and o.rolname = current_user
 order by p.proname
