-- Relations that this transaction has locked, with the strongest lock mode of each, strongest
-- first.
--
-- Returns the relation's OID and the lock mode as the server's number (LOCKMODE, 1 to 8).

SELECT l.relation,
       max(array_position(ARRAY['AccessShareLock', 'RowShareLock', 'RowExclusiveLock',
                                'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                'ExclusiveLock', 'AccessExclusiveLock'], l.mode))
  FROM pg_locks l
 WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
   AND l.mode <> 'SIReadLock'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY l.relation
 ORDER BY 2 DESC, 1
