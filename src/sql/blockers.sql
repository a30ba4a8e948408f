-- Sessions and prepared transactions whose locks keep a call waiting: at most five, the oldest
-- transaction first.
--
-- $1 OID of the schema
-- $2 conflicting locks, as text: "procrastinate_jobs ShareLock, ..."
-- $3 Alembic's version table, or ''
-- $4 Django's migrations table, or ''
-- $5 true if a change of the schema's own row (rename, drop) blocks
-- $6 milliseconds for which the lock was waited for
-- $7 tables that the call locks, as text: "procrastinate_jobs, ..."
-- $8 key of the installation's advisory lock
--
-- Returns a line of text for a message, the pid (0: prepared transaction), and true if that
-- transaction can have blocked for as long as the lock was waited for. Kind 1 holds a conflicting
-- lock, or the installation's advisory lock; kind 2 may hold row locks in the call's tables; kind 3
-- holds any lock in the installation; kind 4 has created a relation, perhaps of a name that the
-- call needs. Only the strongest kind that is found is returned. Prepared transactions have no pid
-- in pg_locks.

with recursive db as (
    select oid from pg_database where datname = current_database()
), family as (
    select c.oid, c.relname
      from pg_class c
     where c.relnamespace = $1 and c.relkind = 'r' and c.relname ~ '^procrastinate_'
    union
    select i.inhrelid, f.relname from family f join pg_inherits i on i.inhparent = f.oid
), held as (
    select l.pid, l.virtualtransaction, l.mode,
           case when c.relname is not null then c.relname
                when l.classid = $8 then 'the installation'
                when l.locktype = 'relation' then 'a new relation'
                else 'the schema' end as what,
           case when f.oid is not null then
                     case when f.relname || ' ' || l.mode = any (string_to_array($2, ', ')) then 1
                          when f.relname = any (string_to_array($7, ', '))
                               and l.mode not in ('AccessShareLock', 'SIReadLock') then 2
                          else 3 end
                when l.locktype = 'relation' and c.oid is null then 4
                when l.locktype = 'transactionid' or l.classid = 'pg_namespace'::regclass then
                     case when $5 then 1 else 3 end
                when l.mode not in ('AccessShareLock', 'RowShareLock', 'SIReadLock') then 1
                else 3 end as kind
      from pg_locks l
      left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
      left join family f on f.oid = c.oid
     -- Who waits for the schema's own lock keeps out who comes later.
     where (l.granted or l.classid = 'pg_namespace'::regclass)
       and l.pid is distinct from pg_backend_pid()
       and coalesce(l.database, (select oid from db)) = (select oid from db)
       and (f.oid is not null
            -- A relation that other transactions do not see yet: not in pg_class.
            or (l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and c.oid is null)
            or c.oid in (to_regclass(nullif($3, '')), to_regclass(nullif($4, '')))
            or ($5 and l.locktype = 'transactionid'
                and l.transactionid = (select xmax from pg_namespace where oid = $1))
            or ($5 and l.locktype = 'object' and l.classid = 'pg_namespace'::regclass
                and l.objid = $1 and l.mode = 'AccessExclusiveLock')
            or (l.locktype = 'advisory' and l.objsubid = 3 and l.classid = $8 and l.objid = $1))
), blocker as (
    select l.pid, l.mode, l.what, l.kind, p.gid, coalesce(a.usename, p.owner) as role,
           nullif(a.application_name, '') as application, a.backend_type, a.state,
           coalesce(a.xact_start, p.prepared) as began,
           nullif(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 80), '') as query
      from held l
      left join pg_stat_activity a on a.pid = l.pid
      left join pg_locks x on l.pid is null and x.virtualtransaction = l.virtualtransaction
                          and x.locktype = 'transactionid' and x.pid is null
      left join pg_prepared_xacts p on p.transaction = x.transactionid
     where l.kind = (select min(kind) from held)
)
select coalesce('Session ' || pid, 'Prepared transaction ' || coalesce(quote_literal(gid), '?'))
       || coalesce(' of role ' || role, '')
       || coalesce(' (' || application || ')', '')
       || coalesce(', ' || backend_type || ', ' || state, '')
       || coalesce(' for ' || date_trunc('second', clock_timestamp() - began), '')
       || ': ' || string_agg(distinct mode || ' on ' || what, ', ')
       || coalesce('; ' || query, ''),
       coalesce(pid, 0),
       min(kind) <> 3
       and coalesce(began < clock_timestamp() - $6 * interval '1 millisecond', true)
  from blocker
 group by pid, gid, role, application, backend_type, state, began, query
 order by began nulls last
 limit 5
