-- Objects of users that depend on objects which migrations drop or change.
--
-- $1, $2, $3 objects that are dropped or changed: classid, objid and objsubid as in pg_depend,
--    each a list, separated by blanks
-- $4 for each of them true if it is only changed
-- $5, $6, $7 all objects of the installation, in the same form
--
-- Returns the place of the object in the lists, from 1, and a description of the dependent object,
-- ordered by both. Leaves out what the server drops or rebuilds itself: indexes and defaults of a
-- table that goes, foreign keys to a column whose type changes. If a column changes, so does the
-- row type of its table: columns of that type depend on it, too.

with ended as (
    select *
      from unnest(string_to_array($1, ' ')::oid[], string_to_array($2, ' ')::oid[],
                  string_to_array($3, ' ')::int[], string_to_array($4, ' ')::boolean[])
           with ordinality as g (class, object, sub, changes, place)
), ours as materialized (
    select *
      from unnest(string_to_array($5, ' ')::oid[], string_to_array($6, ' ')::oid[],
                  string_to_array($7, ' ')::int[]) as o (class, object, sub)
), affected as (
    select place, changes, class, object, sub from ended
    union all
    select g.place, g.changes, 'pg_type'::regclass, c.reltype, 0
      from ended g join pg_class c on c.oid = g.object
     where g.class = 'pg_class'::regclass and g.sub > 0 and g.changes
)
select distinct affected.place,
       case d.classid
           when 'pg_rewrite'::regclass
           then (select case c.relkind when 'm' then 'materialized view ' when 'v' then 'view '
                                       else 'rule ' || quote_ident(r.rulename) || ' on ' end
                        || c.oid::regclass::text
                   from pg_rewrite r join pg_class c on c.oid = r.ev_class where r.oid = d.objid)
           else pg_describe_object(d.classid, d.objid, d.objsubid) end
  from affected
  join pg_depend d on d.refclassid = affected.class and d.refobjid = affected.object
   and (affected.sub = 0 or d.refobjsubid = affected.sub)
  left join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
 where case d.classid
           when 'pg_constraint'::regclass then d.deptype = 'n' and not affected.changes
           when 'pg_attrdef'::regclass then d.deptype in ('n', 'a')
           when 'pg_publication_rel'::regclass then true
           when 'pg_class'::regclass
           then d.deptype = 'n' and affected.class = 'pg_type'::regclass
           else d.deptype = 'n' and d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass,
                                                  'pg_trigger'::regclass, 'pg_policy'::regclass) end
   and not exists (select from ours where ours.class = d.classid and ours.object = d.objid
                      and (ours.sub = 0 or ours.sub = d.objsubid))
   and not exists (select from ours where ours.class = 'pg_class'::regclass
                      and ours.object = f.adrelid and ours.sub = f.adnum)
   and not exists (select from pg_trigger t where d.classid = 'pg_trigger'::regclass
                      and t.oid = d.objid and t.tgisinternal)
   and (d.classid <> 'pg_proc'::regclass or affected.class <> 'pg_type'::regclass)
   and (d.classid <> 'pg_attrdef'::regclass or d.refobjsubid <> f.adnum or d.refobjid <> f.adrelid)
 order by 1, 2
