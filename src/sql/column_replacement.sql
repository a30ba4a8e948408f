-- Objects and properties that keep migration 0024 from replacing procrastinate_events.job_id by a
-- new column.
--
-- $1 OID of the schema
-- $2 true if batches are left to run
-- $3 true if the new column has not been added yet
--
-- Returns a line of text for each, in lower case; NULL for an object that has been dropped
-- meanwhile. The new column is job_id_bigint. It takes over no index, no property and no dependent
-- object of the old one but its own index, its foreign key and, from 18 on, its NOT NULL
-- constraint.

with events as (
       select e.oid, a.attnum, a.attacl, a.attoptions, a.attstattarget, a.attinhcount
         from pg_class e join pg_attribute a on a.attrelid = e.oid and a.attname = 'job_id'
        where e.relnamespace = $1 and e.relname = 'procrastinate_events'),
     -- The tablespace in which the new index will be built, if it is not there yet: by
     -- default_tablespace.
     new_space as (
       select coalesce(max(b.oid) filter (where b.oid <> d.dattablespace), 0::oid) as oid
         from pg_tablespace b, pg_database d
        where d.datname = current_database() and b.spcname = current_setting('default_tablespace')
       having not exists (select from events e
                            join pg_index i on i.indrelid = e.oid
                            join pg_class c on c.oid = i.indexrelid
                           where c.relname = 'procrastinate_events_job_id_bigint'
                             and i.indisvalid)),
     -- From 19 on a row of pg_publication_rel can be an exception from FOR ALL TABLES.
     published as (
       select r.prpubid, r.prattrs,
              coalesce(to_jsonb(r) ->> 'prexcept', 'false') = 'true' as is_exception
         from events e join pg_publication_rel r on r.prrelid = e.oid)

-- what depends on the column
select pg_describe_object(d.classid, d.objid, d.objsubid)
  from events e
  join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = e.oid
                  and d.refobjsubid = e.attnum
  left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
  left join pg_class i on d.classid = 'pg_class'::regclass and i.oid = d.objid
  left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
 where coalesce(k.contype, '?') <> 'n'
   and coalesce(k.conname, i.relname, t.tgname, '?')
       not in ('procrastinate_events_job_id_fkey', 'procrastinate_events_job_id_bigint_same',
               'procrastinate_events_fill_job_id_bigint')

-- properties of the column; 17.12 keeps a number of its own, pg_attver, among the options of every
-- column
union
select case n when 1 then 'privileges' when 2 then 'options' when 3 then 'a statistics target'
              when 4 then 'a comment' else 'a security label' end || ' of the column'
  from events e, generate_series(1, 5) as n
 where case n when 1 then e.attacl is not null
              when 2 then exists (select from unnest(e.attoptions) as o where o !~ '^pg_attver=')
              when 3 then coalesce(e.attstattarget, -1) <> -1
              when 4 then col_description(e.oid, e.attnum) is not null
              else exists (select from pg_seclabel l
                            where l.classoid = 'pg_class'::regclass and l.objoid = e.oid
                              and l.objsubid = e.attnum) end

-- triggers: n = 1 for each row that is updated; n = 2 row triggers that run after the one that
-- fills the new column
union
select pg_describe_object('pg_trigger'::regclass, t.oid, 0)
       || case n when 1 then ', which the batches would fire'
                 else ', which may set the column after the new one is filled' end
  from events e join pg_trigger t on t.tgrelid = e.oid, generate_series(1, 2) as n
 where t.tgname <> 'procrastinate_events_fill_job_id_bigint'
   and case n when 1 then $2 and not t.tgisinternal and t.tgenabled not in ('D', 'R')
                          and t.tgtype & 16 <> 0 and t.tgattr::text = ''
              else t.tgenabled <> 'D' and t.tgtype & 3 = 3
                   and (t.tgtype & 16 <> 0
                        or t.tgtype & 4 <> 0
                           and t.tgname > 'procrastinate_events_fill_job_id_bigint') end

-- rules ON UPDATE
union
select pg_describe_object('pg_rewrite'::regclass, r.oid, 0) || ', which the batches would fire'
  from events e join pg_rewrite r on r.ev_class = e.oid
 where $2 and r.ev_type = '2' and r.ev_enabled not in ('D', 'R')

-- properties of the index and of the foreign key
union
select case n when 1 then 'options' when 2 then 'a mark for CLUSTER' else 'a comment' end || ' of '
       || pg_describe_object(o.class, o.oid, 0)
  from events e,
       lateral (select 'pg_class'::regclass, c.oid, c.reloptions is not null, i.indisclustered
                  from pg_index i join pg_class c on c.oid = i.indexrelid
                 where i.indrelid = e.oid and c.relname = 'procrastinate_events_job_id_fkey'
                union all
                select 'pg_constraint'::regclass, k.oid, false, false
                  from pg_constraint k
                 where k.conrelid = e.oid and k.conname = 'procrastinate_events_job_id_fkey'
               ) as o(class, oid, has_options, is_clustered),
       generate_series(1, 3) as n
 where case n when 1 then o.has_options when 2 then o.is_clustered
              else exists (select from pg_description d
                            where d.classoid = o.class and d.objoid = o.oid) end

-- the tablespace of the index
union
select pg_describe_object('pg_class'::regclass, c.oid, 0)
       || ', which stays in its tablespace with SET default_tablespace = '
       || quote_literal(coalesce(b.spcname, ''))
  from events e
  join pg_index i on i.indrelid = e.oid
  join pg_class c on c.oid = i.indexrelid
  join new_space s on s.oid <> c.reltablespace
  left join pg_tablespace b on b.oid = c.reltablespace
 where c.relname = 'procrastinate_events_job_id_fkey'
union
select pg_describe_object('pg_tablespace'::regclass, s.oid, 0)
       || ', in which you may not create an index'
  from new_space s
 where s.oid <> 0 and not has_tablespace_privilege(s.oid, 'CREATE')

-- constraints that the update of a row would check
union
select pg_describe_object('pg_constraint'::regclass, k.oid, 0)
       || ', which existing events may violate'
  from events e join pg_constraint k on k.conrelid = e.oid
 where $2 and not k.convalidated
   and (k.contype = 'c'
        and k.conname not in ('procrastinate_events_job_id_bigint_same',
                              'procrastinate_events_job_id_bigint_check')
        and coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
        or k.contype = 'f' and k.conname = 'procrastinate_events_job_id_fkey')

-- publications that would send the new column
union
select pg_describe_object('pg_publication'::regclass, p.oid, 0)
       || ', whose subscribers have no column job_id_bigint'
  from events e, pg_publication p
 where $3
   and (p.puballtables
        and not exists (select from published r where r.prpubid = p.oid and r.is_exception)
        or exists (select from published r
                    where r.prpubid = p.oid and not r.is_exception and r.prattrs is null)
        or exists (select from pg_publication_namespace s
                    where s.pnpubid = p.oid and s.pnnspid = $1))
   and exists (select from pg_replication_slots l
                where l.plugin = 'pgoutput' and l.database = current_database())

-- inheritance
union
select pg_describe_object('pg_class'::regclass, i.inhrelid, 0)
       || ', which inherits the column but not the trigger that fills it'
  from events e join pg_inherits i on i.inhparent = e.oid
union
select pg_describe_object('pg_class'::regclass, i.inhparent, 0)
       || ', from which the column is inherited'
  from events e
  join pg_inherits i on i.inhrelid = e.oid
  join pg_attribute a on a.attrelid = i.inhparent and a.attname = 'job_id'
 where e.attinhcount > 0

-- names that the migration needs
union
select pg_describe_object(o.class, o.oid, o.part) || ', whose name the migration needs'
  from events e,
       lateral (select 'pg_class'::regclass, e.oid, a.attnum::int
                  from pg_attribute a
                 where a.attrelid = e.oid and a.attname = 'job_id_bigint'
                union all
                select 'pg_trigger'::regclass, t.oid, 0
                  from pg_trigger t
                 where t.tgrelid = e.oid and t.tgname = 'procrastinate_events_fill_job_id_bigint'
                union all
                select 'pg_constraint'::regclass, k.oid, 0
                  from pg_constraint k
                 where k.conrelid = e.oid
                   and k.conname in ('procrastinate_events_job_id_bigint_same',
                                     'procrastinate_events_job_id_bigint_check',
                                     'procrastinate_events_job_id_bigint_fkey')
                union all
                select 'pg_proc'::regclass, p.oid, 0
                  from pg_proc p
                 where p.pronamespace = $1 and p.proname = 'procrastinate_events_fill_job_id_bigint'
                   and p.pronargs = 0
               ) as o(class, oid, part)
 where $3

-- the check that both columns are the same, which a user may have dropped
union
select format('constraint procrastinate_events_job_id_bigint_same, which is missing; '
              'to create it again: '
              'ALTER TABLE %1$s ADD CONSTRAINT procrastinate_events_job_id_bigint_same '
              'CHECK (job_id_bigint = job_id) NOT VALID; '
              'ALTER TABLE %1$s VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_same',
              e.oid::regclass)
  from events e
 where not $3
   and not exists (select from pg_constraint k
                    where k.conrelid = e.oid
                      and k.conname = 'procrastinate_events_job_id_bigint_same')
 order by 1
