-- Sessions of this database whose roles may use the queue of an installation, with their last
-- queries.
--
-- $1 OID of the installation's schema
-- $2 when the release's pre migration was applied; NULL if that is not known
--
-- Returns a description; how long the session has been in its state; the query, NULL if the caller
-- may not see it; and true if the session began before $2. A role may use the queue if it may
-- insert or update jobs, or is a member of a role that may.

with queue_role as (
    select r.oid
      from pg_roles r
      join pg_class c on c.relnamespace = $1 and c.relname = 'procrastinate_jobs'
       and has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE'))
select format('Session %s of role %s%s, ', a.pid, a.usename,
              ' (' || nullif(a.application_name, '') || ')'),
       format('%s for %s', a.state, date_trunc('second', clock_timestamp() - a.state_change)),
       case when a.backend_type is not null then a.query end,
       coalesce(a.backend_start < $2, false)
  from pg_stat_activity a
 where a.datname = current_database() and a.pid <> pg_backend_pid()
   and coalesce(a.backend_type, 'client backend') = 'client backend'
   and exists (select from queue_role q where pg_has_role(a.usesysid, q.oid, 'MEMBER'))
 order by a.state_change desc
