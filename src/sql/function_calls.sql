-- How often the functions of a schema have been called, by name, as far as track_functions counts
-- them.
--
-- $1 OID of the schema
--
-- Trigger functions are left out: new code makes them run, too.

select p.proname::text, sum(pg_stat_get_function_calls(p.oid))::int8
  from pg_proc p
 where p.pronamespace = $1 and p.prorettype <> 'trigger'::regtype
 group by 1
having sum(pg_stat_get_function_calls(p.oid)) > 0
