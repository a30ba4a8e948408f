-- Triggers that the server would refuse to fire: deferred ones, on tables whose rows a change
-- writes. A change runs in a security-restricted operation, which allows none.
--
-- $1 OID of the installation's schema
-- $2 names of the tables, separated by blanks
--
-- Returns a line of text for a message, and the statement that disables the trigger. Triggers of
-- foreign keys are left out: migrations change no key.

SELECT format('Trigger %s on table %s is deferred to the end of the transaction', t.tgname,
              c.relname),
       format('ALTER TABLE %s DISABLE TRIGGER %I;', c.oid::regclass, t.tgname)
  FROM pg_class c
  JOIN pg_trigger t ON t.tgrelid = c.oid
 WHERE c.relnamespace = $1 AND c.relname = ANY (string_to_array($2, ' '))
   AND t.tginitdeferred AND t.tgenabled <> 'D' AND NOT t.tgisinternal
 ORDER BY 1
