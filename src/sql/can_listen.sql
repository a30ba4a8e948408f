-- Whether LISTEN "procrastinate_schema" would change anything: not on a standby, where no session
-- can listen, and not if the session listens already.

select not pg_is_in_recovery()
       and not exists (select from pg_listening_channels() c where c = 'procrastinate_schema')
