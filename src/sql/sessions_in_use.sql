-- Sessions of this database that seem to use what a post migration drops, as lines for a DETAIL.
--
-- $1 names of the dropped functions, as alternatives of a regular expression: "a|b"
-- $2 when the release's pre migration was applied; NULL if that is not known
-- $3 true if workers of the release listen on channels of their own
--
-- A session is returned if its last query calls one of the functions; or if that query is a LISTEN
-- for jobs, and the session is older than the pre migration, or listens on a channel of older
-- releases. The caller may not see the queries of other roles: hidden_sessions.sql counts those.

with session as (
    select a.pid, a.backend_start, a.state_change,
           format('Session %s of role %s%s, ', a.pid, a.usename,
                  ' (' || nullif(a.application_name, '') || ')') as description,
           format('%s for %s, calls ', a.state,
                  date_trunc('second', clock_timestamp() - a.state_change))
               || substring(a.query from '[[:<:]](' || $1 || ')[[:space:]]*[(]') as call,
           a.query ~* '^[[:space:]]*listen[[:space:]]+"?procrastinate_(any_)?queue' as listens,
           $3 and a.query !~* '^[^_]*_(any_)?queue_v1' as is_old
      from pg_stat_activity a
     where a.datname = current_database() and a.pid <> pg_backend_pid()
       and a.backend_type = 'client backend')
select description
       || coalesce(call, case when is_old then 'listens for jobs on a channel of older releases'
                              else 'has listened for jobs since before the pre migration' end)
  from session
 where call is not null or (listens and (is_old or backend_start < $2))
 order by state_change desc
