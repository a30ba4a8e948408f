-- What the background worker of a concurrent index build does now, and its blockers, as text for a
-- NOTICE.
--
-- $1 pid of the worker
-- $2 OID of the schema
-- $3 name of the table
--
-- Returns one row, or none if the worker neither builds nor waits. pg_stat_progress_create_index
-- shows the worker only after it has the lock of its table. Sessions are described as far as the
-- caller may see them; prepared transactions have no pid (pg_blocking_pids() shows 0).

select case when p.pid is null then 'waiting for the lock of its table'
            else coalesce(p.phase, 'building') end
       || case when p.phase ~ '^waiting' then ''
               else coalesce(', ' || 100 * p.blocks_done / nullif(p.blocks_total, 0) || '%',
                             ', ' || 100 * p.tuples_done / nullif(p.tuples_total, 0) || '%, '
                             || p.tuples_done || ' rows',
                             '') end
       || coalesce(', for ' || string_agg(
              case when b.pid = 0 then coalesce(t.names, 'a prepared transaction')
                   else 'session ' || b.pid || coalesce(' of role ' || a.usename, '')
                        || coalesce(' since ' || date_trunc('second', a.xact_start)::text, '') end,
              ', '), '')
  from pg_stat_activity w
  left join pg_stat_progress_create_index p on p.pid = w.pid
  left join lateral (select distinct unnest(pg_blocking_pids(w.pid))) as b(pid) on true
  left join pg_stat_activity a on a.pid = b.pid
  left join lateral (
           select string_agg(distinct format('prepared transaction %L of role %s since %s',
                                             x.gid, x.owner, date_trunc('second', x.prepared)),
                             ', ') as names
             from pg_prepared_xacts x
                  join pg_locks i on i.transactionid = x.transaction and i.pid is null
                  join pg_locks l on l.virtualtransaction = i.virtualtransaction and l.pid is null
            where b.pid = 0 and l.mode not in ('AccessShareLock', 'RowShareLock')
              and x.database = w.datname
              and l.relation = (select oid from pg_class where relnamespace = $2 and relname = $3)
       ) t on true
 where w.pid = $1 and (p.pid is not null or b.pid is not null)
 group by p.pid, p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total
