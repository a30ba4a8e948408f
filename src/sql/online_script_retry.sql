-- Says what keeps a step of an online script from its locks, and pauses; raises an error once
-- procrastinate_script.retry_for is over. The code of a DO block in a setting; it runs after the
-- try has been undone.
--
-- {{blockers}}  blockers.sql
-- {{conflicts}} rows (lock mode, modes that conflict with it as pg_locks shows them)
--
-- The pause grows with each failure up to 2 s, and its length is random, so that two sessions do
-- not collide again and again.

DECLARE
    schema_name CONSTANT text := current_setting('procrastinate_script.schema');
    title CONSTANT text := current_setting('procrastinate_script.title');
    failures CONSTANT int := current_setting('procrastinate_script.failures')::int + 1;
    since CONSTANT timestamp with time zone :=
        coalesce(nullif(current_setting('procrastinate_script.since'), '')::timestamptz,
                 clock_timestamp());
    waited CONSTANT float8 := 1000 * extract(epoch FROM clock_timestamp() - since);
    longest CONSTANT float8 := current_setting('procrastinate_script.retry_for')::float8;
    tried CONSTANT text :=
        CASE failures WHEN 1 THEN 'tried once' ELSE format('tried %s times', failures) END;
    conflicting text;
    tables text;
    blockers text;
BEGIN
    PERFORM set_config('procrastinate_script.failures', failures::text, false);
    PERFORM set_config('procrastinate_script.since', since::text, false);
    SELECT string_agg(split_part(l, ' ', 1) || ' ' || m, ', '),
           string_agg(DISTINCT split_part(l, ' ', 1), ', ')
      INTO conflicting, tables
      FROM unnest(string_to_array(
               'procrastinate_schema_history SHARE ROW EXCLUSIVE, '
               || CASE WHEN current_setting('procrastinate_script.barrier') IN ('close', 'remove')
                       THEN 'procrastinate_fetch_barrier ACCESS EXCLUSIVE, ' ELSE '' END
               || current_setting('procrastinate_script.locks'), ', ')) l
      JOIN (VALUES {{conflicts}}) c (mode, modes)
        ON c.mode = replace(substr(l, strpos(l, ' ') + 1), ' if there', '')
     CROSS JOIN unnest(c.modes) m;
    EXECUTE $blockers$
SELECT string_agg(b.line, E'\n') FROM (
{{blockers}}) b (line, pid, is_old)$blockers$
       INTO blockers
      USING (SELECT n.oid FROM pg_namespace n WHERE n.nspname = schema_name), conflicting, '', '',
            false, current_setting('procrastinate_script.lock_timeout')::int8, tables, 0::oid;
    blockers := coalesce(blockers, 'No session blocks it any more.');
    IF waited >= longest THEN
        RAISE EXCEPTION '% could not have its locks', title
            USING ERRCODE = '55P03',
                DETAIL = format(E'It was %s in %s s. No try has changed anything.\n%s', tried,
                                round(waited / 1000), blockers),
                HINT = 'End the sessions and prepared transactions that block it, then run the '
                    'script again, or run it with -v retry_for=''1 hour''.';
    END IF;
    RAISE NOTICE '%: waiting for locks, %', title, tried USING DETAIL = blockers;
    PERFORM pg_sleep(least(2000, 50 * 2 ^ least(failures, 10), greatest(50, longest - waited))
                     * (0.5 + random() / 2) / 1000);
END
