-- What procrastinate_migrate() does now in an installation whose migration is under way, and the
-- blockers of that session.
--
-- $1 OID of the schema
-- $2 true if the next step is a concurrent index build
-- $3 id that the batches have come to, by the history, or NULL
-- $4 last id of the batches, by the history, or NULL
-- $5 key of the advisory lock of sessions that run procrastinate_migrate()
-- $6 key of the installation's advisory lock
-- $7 key of the advisory lock of index builds
-- $8 key of the advisory lock that shows blockers between lock retries
-- $9 key of the advisory lock of background workers that build an index
--
-- Returns one row: pid, phase of an index build, done, left (blocks or rows of a build, ids of
-- batches), and the blockers as int4[]: sessions, a replica's walsender, 0 for a prepared
-- transaction. Each is NULL if it is not known. The current role sees as much as pg_stat_activity
-- shows it.

with db as (
    select oid from pg_database where datname = current_database()
), caller as (
    -- The session that runs the call; of several, the one with the installation's lock or that of
    -- index builds.
    select w.pid
      from pg_locks w
     where w.database = (select oid from db) and w.locktype = 'advisory' and w.objsubid = 3
       and w.classid = $5 and w.objid = $1
     order by exists (select from pg_locks l
                       where l.pid = w.pid and l.database = w.database and l.locktype = 'advisory'
                         and l.objsubid = w.objsubid and l.classid in ($6, $7) and l.objid = w.objid
                         and l.granted) desc,
              w.pid
     limit 1
), builder as (
    -- The call's background worker, or the call itself if it builds without one; not an index build
    -- of another session.
    select w.pid, i.phase,
           case when i.blocks_total > 0 then i.blocks_done
                when i.tuples_total > 0 then i.tuples_done end as done,
           case when i.blocks_total > 0 then i.blocks_total
                when i.tuples_total > 0 then i.tuples_total end as total
      from (select l.pid, 1 as rank
              from pg_locks l
             where l.database = (select oid from db) and l.locktype = 'advisory' and l.objsubid = 3
               and l.classid = $9 and l.objid = $1
            union all
            select c.pid, 2 from caller c) w
      left join pg_stat_progress_create_index i on i.pid = w.pid
     where $2
     order by w.rank
     limit 1
), shown as (
    -- Between lock retries the session waits for no lock: it shows the blockers of the last try,
    -- and a walsender whose replica is behind. Those that hold no lock any more are left out. A
    -- session that has the advisory lock of index builds blocks as well.
    select array_agg(distinct case when l.classid = $8 then l.objid::int8::int4
                                   else coalesce(l.pid, 0) end) as pids
      from pg_locks l
     where l.database = (select oid from db) and l.locktype = 'advisory' and l.objsubid = 3
       and l.granted
       and ((l.classid = $8 and l.pid = (select pid from caller)
             and l.objid::int8::int4 in (select coalesce(x.pid, 0) from pg_locks x where x.granted
                                         union all
                                         select s.pid from pg_stat_replication s))
            or ($2 and l.classid = $7 and l.objid = $1
                and coalesce(l.pid, 0) <> (select pid from caller)))
)
select coalesce(b.pid, c.pid), b.phase, coalesce(b.done, $3),
       -- From the least id to the largest one there are more than an int8 can say.
       (select least(n, 9223372036854775807)::int8
          from (select coalesce(b.total, $4)::numeric - coalesce(b.done, $3)) l (n)
         where n is not null),
       coalesce(nullif(pg_blocking_pids(coalesce(b.pid, c.pid)), '{}'), s.pids)
  from shown s
  left join caller c on true
  left join builder b on true
