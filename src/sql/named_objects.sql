-- Objects of a schema that have one of these names, tables first.
--
-- $1 OID of the schema
-- $2 names, separated by blanks; those of columns and constraints with their tables in front. Other
--    roles can make any number of objects whose names only begin as Procrastinate's do.
--
-- Returns kind and name. The kind is as in structure.tsv, or "relation" or "type" for an object of
-- another kind. The name of a column or constraint has its table in front. Members of extensions
-- are left out.

with object as (
    select 'pg_class'::regclass as class, c.oid, c.relname::text as name,
           case c.relkind when 'r' then 1 when 'i' then 6 when 'S' then 7 else 2 end as rank,
           case c.relkind when 'r' then 'table' when 'i' then 'index' when 'S' then 'sequence'
                          when 'c' then 'composite' else 'relation' end as kind
      from pg_class c where c.relnamespace = $1
    union all
    select 'pg_type'::regclass, t.oid, t.typname::text, 3,
           case t.typtype when 'e' then 'enum' else 'type' end
      from pg_type t where t.typnamespace = $1 and t.typrelid = 0
    union all
    select 'pg_proc'::regclass, p.oid, p.proname::text, 4, 'function'
      from pg_proc p where p.pronamespace = $1
    union all
    select 'pg_trigger'::regclass, t.oid, t.tgname::text, 5, 'trigger'
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = $1 and not t.tgisinternal
    union all
    select 'pg_class'::regclass, c.oid, c.relname || '.' || a.attname, 8, 'column'
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = $1 and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    union all
    select 'pg_constraint'::regclass, k.oid, c.relname || '.' || k.conname, 9, 'constraint'
      from pg_constraint k join pg_class c on c.oid = k.conrelid
     where c.relnamespace = $1 and k.contype <> 'n'
)
select object.kind, object.name
  from object
 where object.name = any ((select string_to_array($2, ' '))::text[])
   and not exists (select from pg_depend d
                    where d.classid = object.class and d.objid = object.oid and d.deptype = 'e')
 order by object.rank, object.name
