-- Fetch functions of an installation that the fetch barrier can be put into: PL/pgSQL functions of
-- the current role that return one row of procrastinate_jobs.
--
-- $1 OID of the schema
--
-- Returns the CREATE OR REPLACE statement, the body and the signature. The body is concatenated
-- with an empty text, so that a long one is read while the query has a snapshot.

select pg_get_functiondef(p.oid), p.prosrc || '', p.oid::regprocedure::text
  from pg_proc p
  join pg_type t on t.oid = p.prorettype
  join pg_class c on c.oid = t.typrelid
  join pg_language l on l.oid = p.prolang
  join pg_roles o on o.oid = p.proowner
 where p.pronamespace = $1 and c.relnamespace = $1 and c.relname = 'procrastinate_jobs'
   and not p.proretset and l.lanname = 'plpgsql' and p.proname ~ '^procrastinate_fetch_job'
   and o.rolname = current_user
 order by p.proname
