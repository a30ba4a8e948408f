-- The objects of an installation: those with names of Procrastinate's, all parts of its tables, and
-- the rules and views that users have made on them. Also tables, types and functions whose names
-- begin as Procrastinate's do, and which no revision has: their flaw is "unknown". Views of such
-- names are the users' own, and so are parts of tables.
--
-- $1 OID of the schema
-- $2 names of relations and types, separated by blanks
-- $3 names of functions, separated by blanks
-- $4 the largest number of rows
-- $5 the largest number of views: any role with USAGE on the schema can create some, in a schema of
--    its own; those of the tables' owner come first
-- $6 names of tables, separated by blanks: only of these are the parts read. The caller has looked
--    how large their definitions are.
--
-- Must run under a search_path of pg_catalog alone: then names come out qualified by the schema,
-- and no operator of another role is used. Finds the objects by their names and by indexes of the
-- catalog, so that other objects of the database cost nothing. The lists of names are subqueries,
-- which run once: as expressions they would be made for each row. Leaves out members of extensions.
--
-- Texts that are longer than any of Procrastinate's are cut or replaced by their md5. Those of
-- functions are not even read, and at most $4 functions are: any role that may create functions
-- could make them huge, or many. Nor are the types of arguments if there are more than 20, or if
-- they have large defaults: the session would keep those. Of an enum type at most 1000 labels are
-- read. Rules are not printed: pg_get_ruledef() can take hours, and nothing cancels it.
--
-- Returns the columns of catalog::CatalogObject, ordered by kind and key:
--   1 kind, 2 key, 3 name, 4 table, 5 definition as structure.tsv spells it
--   6 detail: type of a column or sequence, clause of an index or constraint, declaration of a
--     function
--   7 addition: collation of a column, settings of a function, increment, bounds and cycle of a
--     sequence, if they are not the server's defaults
--   8 default of a column, md5 of a function's body with LF instead of CR LF
--   9 how a column is generated, md5 of a function's body without blanks at the ends of its lines
--     and without empty lines at its own ends; null, as the one before and column 13, for a long
--     body
--   10 column that owns a sequence
--   11 flag: column is NOT NULL, index is UNIQUE, trigger is a constraint trigger, table is plain
--   12 labels of an enum type, settings of a function one by one, as text[]
--   13 md5 of a function's body, 14 flaw, 15 owner
--   16 to 18 classid, objid, objsubid as pg_depend has them

with relation as materialized (
    select c.*
      from pg_class c
     where c.relname = any ((select string_to_array($2, ' ')::name[])::name[])
       and c.relnamespace = $1
       and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                          and d.objid = c.oid and d.deptype = 'e')
), our_table as materialized (
    select * from relation
     where relkind in ('r', 'p')
       and relname = any ((select string_to_array($6, ' ')::name[])::name[])
), named_function as materialized (
    -- OFFSET 0 here and below: with old statistics the planner would compare all pairs of many such
    -- objects.
    select p.oid, p.proname, p.proowner, a.arguments
      from pg_depend n
     cross join lateral (
           select p.oid, p.proname, p.proowner, p.proargtypes, p.prorettype, p.proallargtypes
             from pg_proc p where p.oid = n.objid offset 0) p
     cross join lateral (
           select case when coalesce(sum(octet_length(e.typdefault)), 0)
                            + coalesce(sum(octet_length(e.typdefaultbin::text)), 0) <= 16000
                            and cardinality(p.proargtypes::oid[]) <= 20
                       then coalesce((select string_agg(format_type(a.type, null), ', '
                                                        order by a.place)
                                        from unnest(p.proargtypes::oid[]) with ordinality
                                          as a (type, place)), '') end as arguments
             from unnest(p.proargtypes::oid[] || p.proallargtypes || p.prorettype) as a (type)
            cross join lateral (
                  select t.typelem from pg_type t where t.oid = a.type offset 0) t
            cross join lateral (
                  select e.typdefault, e.typdefaultbin
                    from pg_type e where e.oid = any (array[a.type, t.typelem]) offset 0) e
            where a.type >= 16384) a
     where n.refclassid = 'pg_namespace'::regclass and n.refobjid = $1
       and n.classid = 'pg_proc'::regclass
       and p.proname >= 'procrastinate_' and p.proname < 'procrastinate`'
), routine as materialized (
    select p.*, f.arguments
      from named_function f
     cross join lateral (select p.* from pg_proc p where p.oid = f.oid offset 0) p
     where f.proname = any ((select string_to_array($3, ' ')::name[])::name[])
       and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
                          and d.objid = f.oid and d.deptype = 'e')
      limit $4
), owned_sequence as (
    select c.oid
      from our_table t
      join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
       and d.refobjsubid > 0 and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
      join pg_class c on c.oid = d.objid and c.relkind = 'S'
), unknown as (
    select 1 as rank, case c.relkind when 'f' then 'relation' else 'table' end as kind,
           c.relname::text as key, c.relname::text as name, c.relowner as owner,
           'pg_class'::regclass as class_id, c.oid as object_id
      from pg_depend n
     cross join lateral (select * from pg_class c where c.oid = n.objid offset 0) c
     where n.refclassid = 'pg_namespace'::regclass and n.refobjid = $1
       and n.classid = 'pg_class'::regclass
       and c.relname >= 'procrastinate_' and c.relname < 'procrastinate`'
       and c.relkind in ('r', 'p', 'f')
       and c.relname <> all ((select string_to_array($2, ' ')::name[])::name[])
    union all
    -- Of a composite type only the type depends on the schema; its relation depends on the type.
    select case t.typtype when 'c' then 6 else 5 end,
           case t.typtype when 'e' then 'enum' when 'c' then 'composite' else 'type' end,
           t.typname::text, t.typname::text, t.typowner, 'pg_type'::regclass, t.oid
      from pg_depend n
     cross join lateral (select * from pg_type t where t.oid = n.objid offset 0) t
     where n.refclassid = 'pg_namespace'::regclass and n.refobjid = $1
       and n.classid = 'pg_type'::regclass
       and t.typname >= 'procrastinate_' and t.typname < 'procrastinate`'
       and t.typtype <> 'm'
       and (t.typrelid = 0
            or exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
       and t.typname <> all ((select string_to_array($2, ' ')::name[])::name[])
    union all
    select 8, 'function', format('%s(%s)', f.proname, coalesce(f.arguments, '...')),
           f.proname::text, f.proowner, 'pg_proc'::regclass, f.oid
      from named_function f
     where f.proname <> all ((select string_to_array($3, ' ')::name[])::name[])
), line as (
    select 1 as rank, 'table' as kind, c.relname::text as key, c.relname::text as name,
           null::text as "table",
           concat(c.relname,
                  case c.relkind when 'r' then '' when 'p' then ' as partitioned table'
                      when 'v' then ' as view' when 'm' then ' as materialized view'
                      when 'f' then ' as foreign table'
                      else ' as relation of kind ' || c.relkind::text end,
                  case c.relpersistence when 'u' then ' unlogged' end,
                  case when c.relforcerowsecurity then ' with forced row security'
                      when c.relrowsecurity then ' with row security' end) as definition,
           null::text as detail, null::text as addition, null::text as default_value,
           null::text as generated, null::text as columns, c.relkind = 'r' as flag,
           null::text[] as labels, null::text as body, null::text as flaw, c.relowner as owner,
           'pg_class'::regclass as class_id, c.oid as object_id, 0 as sub_id
      from relation c where c.relkind not in ('S', 'c', 'i', 'I')
    union all
    select 2, 'column', c.relname || '.' || a.attname, a.attname::text, c.relname::text,
           concat(c.relname, '.', a.attname, ' ', p.type, ' collate ' || p.collation,
                  case when a.attnotnull then ' not null' end, ' default ' || p.default_value,
                  ' ' || p.generated),
           p.type, p.collation, p.default_value, p.generated, null, a.attnotnull, null, null,
           case when a.attnotnull and not a.atthasdef and a.attidentity = ''
                     and t.typdefault is null
                then 'required' end,
           null, 'pg_class'::regclass, c.oid, a.attnum
      from our_table c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid
      left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
     cross join lateral (
           select format_type(a.atttypid, a.atttypmod) as type,
                  case when a.attcollation <> t.typcollation
                       then a.attcollation::regcollation::text end as collation,
                  pg_get_expr(d.adbin, d.adrelid) as default_value,
                  case when a.attgenerated <> '' then 'generated always'
                       when a.attidentity = 'a' then 'generated always as identity'
                       when a.attidentity = 'd' then 'generated by default as identity'
                       end as generated) p
    union all
    select 3, 'constraint', c.relname || '.' || k.conname, k.conname::text, c.relname::text,
           concat(c.relname, '.', k.conname, ' ', p.clause), p.clause, null, null, null, null, null,
           null, null,
           case when exists (select from pg_trigger t
                              where t.tgconstraint = k.oid and t.tgenabled in ('D', 'R'))
                then 'disabled' when not k.convalidated then 'unvalidated' end,
           null, 'pg_constraint'::regclass, k.oid, 0
      from our_table c
      join pg_constraint k on k.conrelid = c.oid and k.contype not in ('n', 't')
     cross join lateral (
           select regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') as clause) p
    union all
    select 4, 'index', i.relname::text, i.relname::text, o.relname::text,
           concat(p.is_unique, quote_ident(i.relname), ' ON ', p.clause), p.clause, null, null,
           null,
           null, x.indisunique, null, null,
           case when not (x.indisvalid and x.indisready and x.indislive) then 'invalid' end,
           null, 'pg_class'::regclass, i.oid, 0
      from (select oid from relation where relkind in ('i', 'I')
            union
            select o.indexrelid from our_table c join pg_index o on o.indrelid = c.oid) a
      join pg_index x on x.indexrelid = a.oid
      join pg_class i on i.oid = x.indexrelid
      join pg_class o on o.oid = x.indrelid
     cross join lateral (
           select case when x.indisunique then 'UNIQUE ' end as is_unique,
                  regexp_replace(
                      substr(pg_get_indexdef(i.oid),
                             length(concat('CREATE ', case when x.indisunique then 'UNIQUE ' end,
                                           'INDEX ', quote_ident(i.relname), ' ON ')) + 1),
                      case when i.reloptions is null then '^$' else ' WITH \([^)]*\)' end,
                      '') as clause) p
    union all
    select 5, 'enum', t.typname::text, t.typname::text, null,
           concat(t.typname,
                  case when t.typtype <> 'e' then ' as type of kind ' || t.typtype::text end,
                  ' (', array_to_string(p.labels, ', '), ')'),
           null, null, null, null, null, null, p.labels, null, null, t.typowner,
           'pg_type'::regclass, t.oid, 0
      from pg_type t
     cross join lateral (
           select array_agg(e.enumlabel::text order by e.enumsortorder) as labels
             from (select * from pg_enum e where e.enumtypid = t.oid
                    order by e.enumsortorder limit 1000) e) p
     where t.typname = any ((select string_to_array($2, ' ')::name[])::name[])
       and t.typnamespace = $1
       and t.typrelid = 0
       and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass
                          and d.objid = t.oid and d.deptype = 'e')
    union all
    select 6, 'composite', c.relname::text, c.relname::text, null,
           concat(c.relname, ' (',
                  case when s.bytes <= 16000
                       then (select string_agg(concat(a.attname, ' ',
                                                      format_type(a.atttypid, a.atttypmod)),
                                               ', ' order by a.attnum)
                               from pg_attribute a
                              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
                       else 'a type that has a large default' end, ')'),
           null, null, null, null, null, null, null, null, null, c.relowner, 'pg_type'::regclass,
           c.reltype, 0
      from relation c
     cross join lateral (
           select coalesce(sum(octet_length(e.typdefault)), 0)
                  + coalesce(sum(octet_length(e.typdefaultbin::text)), 0) as bytes
             from pg_attribute a
            cross join lateral (
                  select t.typelem from pg_type t where t.oid = a.atttypid offset 0) t
            cross join lateral (
                  select e.typdefault, e.typdefaultbin
                    from pg_type e where e.oid = any (array[a.atttypid, t.typelem]) offset 0) e
            where a.attrelid = c.oid and a.attnum > 0 and a.atttypid >= 16384) s
     where c.relkind = 'c'
    union all
    select 7, 'sequence', c.relname::text, c.relname::text, p."table",
           concat(c.relname, ' ', format_type(s.seqtypid, null),
                  ' owned by ' || p."table" || '.' || p.columns, ' ' || o.options),
           format_type(s.seqtypid, null), o.options, null, null, p.columns, null, null, null, null,
           c.relowner, 'pg_class'::regclass, c.oid, 0
      from (select oid from relation union select oid from owned_sequence) a
      join pg_class c on c.oid = a.oid
      join pg_sequence s on s.seqrelid = c.oid
      left join lateral (
           select o.relname::text as "table", a.attname::text as columns
             from pg_depend d
             join pg_class o on o.oid = d.refobjid
             join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
            where d.classid = 'pg_class'::regclass and d.objid = c.oid
              and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')) p on true
     cross join lateral (
           select nullif(concat_ws(' ',
                      case when s.seqincrement <> 1 then 'increment ' || s.seqincrement end,
                      case when s.seqmin <> 1 then 'minvalue ' || s.seqmin end,
                      case when s.seqmax <> case s.seqtypid when 'bigint'::regtype
                                                 then 9223372036854775807
                                                 when 'integer'::regtype then 2147483647
                                                 else 32767 end
                           then 'maxvalue ' || s.seqmax end,
                      case when s.seqcycle then 'cycle' end), '') as options) o
    union all
    select 8, 'function', format('%s(%s)', p.proname, coalesce(p.arguments, '...')),
           p.proname::text, null,
           concat(d.declaration, ' language ', l.lanname,
                  case p.prokind when 'f' then '' else ' of kind ' || p.prokind::text end,
                  case p.provolatile when 's' then ' stable' when 'i' then ' immutable' end,
                  case when p.proisstrict then ' strict' end,
                  case when p.prosecdef then ' security definer' end, ' set ' || d.settings),
           d.declaration, d.settings, s.lf_body, s.stripped_body, null, null,
           case when d.has_short_settings then p.proconfig end, s.body, null,
           p.proowner, 'pg_proc'::regclass, p.oid, 0
      from routine p
      join pg_language l on l.oid = p.prolang
     cross join lateral (
           -- In bytes as they are stored.
           select pg_column_size(p.prosrc) + coalesce(pg_column_size(p.prosqlbody), 0)
                  + coalesce(pg_column_size(p.proargdefaults), 0)
                  + coalesce(pg_column_size(p.proargnames), 0)
                  + coalesce(pg_column_size(p.proconfig), 0)
                  + coalesce(pg_column_size(p.proacl), 0) as bytes) stored
     cross join lateral (
           -- These functions put the whole row of pg_proc into the session's cache.
           select case when stored.bytes > 64000
                       then concat(p.proname, ' of ', stored.bytes, ' bytes')
                       when p.arguments is null
                       then concat(p.proname, ' with many arguments, or types with large defaults')
                       else concat(p.proname, '(',
                                   case when coalesce(octet_length(p.proargdefaults::text), 0)
                                             <= 16000
                                        then pg_get_function_arguments(p.oid)
                                        else 'defaults of '
                                             || octet_length(p.proargdefaults::text)
                                             || ' bytes' end, ')',
                                   ' returns ' || pg_get_function_result(p.oid)) end
                  as declaration,
                  pg_column_size(p.proconfig) <= 2000 as has_short_settings,
                  case when pg_column_size(p.proconfig) <= 2000
                       then array_to_string(p.proconfig, ', ')
                       else 'of ' || pg_column_size(p.proconfig) || ' bytes' end as settings) d
     cross join lateral (
           select md5(b.body) as body, md5(replace(b.body, E'\r\n', E'\n')) as lf_body,
                  (select md5(btrim(string_agg(btrim(l.line, E' \t\r\f'), E'\n' order by l.place),
                                    E'\n'))
                     from unnest(string_to_array(b.body, E'\n')) with ordinality
                       as l (line, place))
                  as stripped_body
             from (select case when octet_length(p.prosrc) <= 16000 then p.prosrc end as body) b) s
    union all
    select 9, 'trigger', c.relname || '.' || t.tgname, t.tgname::text, c.relname::text,
           regexp_replace(pg_get_triggerdef(t.oid, true), '^CREATE (CONSTRAINT )?TRIGGER ', '\1'),
           null, null, null, null, null, t.tgconstraint <> 0, null, null,
           case when t.tgenabled in ('D', 'R') then 'disabled' end, null, 'pg_trigger'::regclass,
           t.oid, 0
      from our_table c join pg_trigger t on t.tgrelid = c.oid where not t.tgisinternal
    union all
    select 10, 'rule', c.relname || '.' || r.rulename, r.rulename::text, c.relname::text,
           format('%I AS ON %s TO %I DO %s', r.rulename,
                  case r.ev_type when '1' then 'SELECT' when '2' then 'UPDATE'
                      when '3' then 'INSERT' else 'DELETE' end, c.relname,
                  case when r.is_instead then 'INSTEAD' else 'ALSO' end),
           null, null, null, null, null, null, null, null,
           case when r.is_instead then 'instead' end, null, 'pg_rewrite'::regclass, r.oid, 0
      from our_table c join pg_rewrite r on r.ev_class = c.oid
    union all
    select 11, 'view', v.oid::regclass::text, v.relname::text, null,
           concat(v.oid::regclass, ' reads ', v."table"),
           null, null, null, null, null, null::boolean, null::text[], null, null, null::oid,
           'pg_class'::regclass, v.oid, 0
      from (select distinct v.relowner <> c.relowner as is_of_other, v.oid, v.relname,
                   c.relname as "table"
              from our_table c
              join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
               and d.classid = 'pg_rewrite'::regclass
              join pg_rewrite r on r.oid = d.objid
              join pg_class v on v.oid = r.ev_class and v.oid <> c.oid
             order by is_of_other, v.oid, "table"
             limit $5) v
    union all
    -- What changes of this extension make besides the facts is no unknown object, nor is a member
    -- of an extension or a function that the server has made for a range type.
    select u.rank, u.kind, u.key, u.name, null, u.key, null, null, null, null, null, false, null,
           null, 'unknown', u.owner, u.class_id, u.object_id, 0
      from unknown u
     where u.name <> all ('{procrastinate_schema_history, procrastinate_fetch_barrier,
                            procrastinate_events_fill_job_id_bigint}'::text[])
       and not exists (select from pg_depend d where d.classid = u.class_id
                          and d.objid = u.object_id and d.objsubid = 0
                          and d.deptype in ('e', 'i'))
)
select line.kind, line.key, line.name, line."table",
       case when length(line.definition) > 8000
            then left(line.definition, 4000) || ' ... ' || md5(line.definition)
            else line.definition end,
       case when length(line.detail) > 8000 then md5(line.detail) else line.detail end,
       case when length(line.addition) > 8000 then md5(line.addition) else line.addition end,
       case when length(line.default_value) > 8000
            then md5(line.default_value) else line.default_value end,
       line.generated, line.columns, line.flag, line.labels, line.body,
       line.flaw,
       case when line.owner is not null then pg_get_userbyid(line.owner)::text end,
       line.class_id::oid, line.object_id, line.sub_id::int
  from line
 order by line.rank, line.key collate "C", line.definition collate "C"
 limit $4
