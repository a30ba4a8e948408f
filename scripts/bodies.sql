-- The hashes of each function's body in the schema :schema, as function_bodies.tsv has them:
-- signature, md5, stripped_md5, with tabs between them. structure.sql strips the same way.
select format(E'%s(%s)\t%s\t%s', p.proname, pg_get_function_identity_arguments(p.oid),
              md5(p.prosrc),
              (select md5(btrim(string_agg(btrim(l.line, E' \t\r\f'), E'\n' order by l.place),
                                E'\n'))
                 from string_to_table(p.prosrc, E'\n') with ordinality as l (line, place)))
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = :'schema'
 order by 1;
