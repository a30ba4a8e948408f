-- The body's hash of each function of the schema :schema, as function_bodies.tsv has it: signature,
-- a tab, md5.
select format(E'%s(%s)\t%s', p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc))
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = :'schema'
 order by 1;
