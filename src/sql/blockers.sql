-- Sessions and prepared transactions whose locks keep a step waiting, oldest transaction first, at most five.
--
-- $1 OID of the schema
-- $2 conflicting locks, as text: "procrastinate_jobs ShareLock, ..."
-- $3 true if the step closes the fetch barrier: its shared holders count as blockers
-- $4 Alembic's version table, or ''
-- $5 Django's migrations table, or ''
-- $6 true if a change of the schema's own row (rename, drop) blocks
-- $7 milliseconds for which the lock was waited for
-- $8 tables of the step, as text: "procrastinate_jobs, ..."
-- $9 key of the fetch barrier's advisory lock
-- $10 key of the installation's advisory lock
--
-- Returns a line of text for a message, the pid (0: prepared transaction), and whether it can have blocked for
-- $7 milliseconds. Kind 1 holds a conflicting lock, kind 2 may hold row locks in the step's tables, kind 3 holds
-- any lock in the installation; only the strongest kind found is returned. The holder of the installation's lock
-- blocks every step. Prepared transactions have no pid.

with recursive family as (
    select c.oid, c.relname from pg_class c
     where c.relnamespace = $1 and c.relkind = 'r' and c.relname ~ '^procrastinate_'
    union
    select i.inhrelid, f.relname from family f join pg_inherits i on i.inhparent = f.oid
), held as (
    select l.pid, l.virtualtransaction, l.mode,
           coalesce(c.relname, case l.classid when $9 then 'the fetch barrier' when $10 then 'the installation'
                               else 'the schema' end) as what,
           case when case when f.oid is not null then f.relname || ' ' || l.mode = any (string_to_array($2, ', '))
                          when l.classid = $9 then $3
                          when l.locktype = 'transactionid' or l.classid = 'pg_namespace'::regclass then $6
                          else l.mode not in ('AccessShareLock', 'RowShareLock', 'SIReadLock') end then 1
                when f.relname = any (string_to_array($8, ', ')) and l.mode not in ('AccessShareLock', 'SIReadLock') then 2
                else 3 end as kind
      from pg_locks l left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
           left join family f on f.oid = c.oid
     where l.granted and l.pid is distinct from pg_backend_pid()
       and coalesce(l.database, (select oid from pg_database where datname = current_database()))
           = (select oid from pg_database where datname = current_database())
       and (f.oid is not null
            or c.oid in (to_regclass(nullif($4, '')), to_regclass(nullif($5, '')))
            or ($6 and l.locktype = 'transactionid' and l.transactionid = (select xmax from pg_namespace where oid = $1))
            or ($6 and l.locktype = 'object' and l.classid = 'pg_namespace'::regclass and l.objid = $1
                and l.mode = 'AccessExclusiveLock')
            or (l.locktype = 'advisory' and l.classid in ($9, $10) and l.objid = $1)))
select coalesce('Session ' || l.pid, 'Prepared transaction ' || coalesce(quote_literal(p.gid), '?'))
       || coalesce(' of role ' || coalesce(a.usename, p.owner), '')
       || coalesce(' (' || nullif(a.application_name, '') || ')', '')
       || coalesce(', ' || a.backend_type || ', ' || a.state, '')
       || coalesce(' for ' || date_trunc('second', clock_timestamp() - coalesce(a.xact_start, p.prepared)), '')
       || ': ' || string_agg(distinct l.mode || ' on ' || l.what, ', ')
       || coalesce('; ' || nullif(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 80), ''), ''),
       coalesce(l.pid, 0),
       min(l.kind) < 3
       and coalesce(coalesce(a.xact_start, p.prepared) < clock_timestamp() - $7 * interval '1 millisecond', true)
  from held l
  left join pg_stat_activity a on a.pid = l.pid
  left join pg_locks x on l.pid is null and x.virtualtransaction = l.virtualtransaction
                      and x.locktype = 'transactionid' and x.pid is null
  left join pg_prepared_xacts p on p.transaction = x.transactionid
 where l.kind = (select min(kind) from held)
 group by l.pid, p.gid, p.owner, p.prepared, a.usename, a.application_name, a.backend_type, a.state, a.xact_start, a.query
 order by min(coalesce(a.xact_start, p.prepared)) nulls last
 limit 5
