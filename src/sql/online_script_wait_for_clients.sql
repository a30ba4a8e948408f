-- Waits until the transactions that run now have ended, but at most half a second: fetches end
-- within milliseconds, others may last as long as they like. The code of a DO block in a setting.

DECLARE
    longest CONSTANT timestamp with time zone := clock_timestamp() + interval '500 ms';
    others CONSTANT text[] := ARRAY(SELECT l.virtualtransaction FROM pg_locks l
                                     WHERE l.locktype = 'virtualxid' AND l.granted
                                       AND l.mode = 'ExclusiveLock'
                                       AND l.pid <> pg_backend_pid());
BEGIN
    WHILE clock_timestamp() < longest
          AND EXISTS (SELECT FROM pg_locks l
                       WHERE l.locktype = 'virtualxid' AND l.granted
                         AND l.virtualtransaction = ANY (others)) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
END
