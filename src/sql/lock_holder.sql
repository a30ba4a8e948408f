-- Sessions that hold one of the extension's advisory locks of an installation, as text for a
-- NOTICE.
--
-- $1 OID of the schema
-- $2 key of the advisory lock
--
-- Returns one row; NULL if no session holds it any more.

select string_agg(coalesce('session ' || l.pid, 'a prepared transaction')
                  || coalesce(' of role ' || a.usename, ''), ', ')
  from pg_locks l
  join pg_database d on d.oid = l.database
  left join pg_stat_activity a on a.pid = l.pid
 where d.datname = current_database() and l.locktype = 'advisory' and l.objsubid = 3 and l.granted
   and l.classid = $2 and l.objid = $1
