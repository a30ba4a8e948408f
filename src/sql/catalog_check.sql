-- What procrastinate_detect() and procrastinate_check() find in the catalog, as one query for any
-- server. A template.
--
-- {{structure}} structure.sql over expressions
-- {{schema}}    name of the schema, an expression of type text
-- {{facts}}     rows (first revision, last revision, kind, key, table, definition, signature)
-- {{bodies}}    rows (first revision, last revision, signature, md5, md5 of the stripped body)
-- {{head}}      number of the last revision
-- {{wanted}}    number of the revision to compare with, or NULL for the nearest
--
-- Returns a row for each difference: the revision; whether the schema is exactly that; the problem,
-- the kind and the key of the object, the definition at the revision, and the one that is there.
-- One row with NULLs if there is no difference; none if there is no such schema. A user's own
-- objects and settings are no difference. Unlike the library it reports an object of another name
-- as missing and extra, and knows no reasons and no repairs.
--
-- Exact are the same schemas as for the library (catalog/object_comparison.cpp).

with fact as materialized (
    select *
      from (values
        {{facts}}
           ) f (first, last, kind, key, "table", definition, signature)
), body as materialized (
    select *
      from (values
        {{bodies}}
           ) b (first, last, signature, md5, stripped_md5)
), qualifier as materialized (
    -- The schema's name before a name of Procrastinate's, in plain text or in a literal.
    select format('(?<![[:alnum:]_$".])(?:%s|%s)(?=procrastinate_)', q.plain,
                  replace(q.plain, '''', '''''')) as pattern
      from (select regexp_replace(quote_ident({{schema}}) || '.', '([][\\.*+?^${}()|])', '\\\1',
                                  'g') as plain) q
), object as materialized (
    select s.kind,
           case s.kind when 'function' then regexp_replace(s.key, q.pattern, '', 'g')
                       else s.key end as key,
           s."table",
           -- The dot in procrastinate_jobs.lock follows a table, even if a schema has that name.
           left(s.definition, p.length)
               || regexp_replace(substr(s.definition, p.length + 1), q.pattern, '', 'g')
               as definition,
           case s.kind when 'function' then ' set ' || s.addition when 'sequence'
                       then ' ' || s.addition end as addition,
           s.default_value as lf_body, s.generated as stripped_body, s.body,
           s.kind = 'table' and s.flag as is_plain_table,
           case when s.flaw in ('unvalidated', 'disabled', 'invalid') then s.flaw end as flaw,
           -- Of the schemas in a function's search_path the installation's has to be first.
           s.kind = 'function' and s.addition ~ 'search_path='
               and split_part(substring(s.addition from 'search_path=(.*)'), ', ', 1)
                   <> quote_ident({{schema}}) as has_other_path,
           s.name
      from (
{{structure}}) s (kind, key, name, "table", definition, detail, addition, default_value, generated,
         columns, flag, labels, body, flaw, owner, class_id, object_id, sub_id)
     cross join qualifier q
     cross join lateral (
           select case when s.kind in ('column', 'constraint')
                       then length(s.key) else 0 end as length) p
), compared as (
    select f.*, o.key is not null as is_there, o.definition as actual, o.flaw, o.body, o.lf_body,
           o.stripped_body,
           o.definition <> f.definition and not o.is_plain_table
               and (o.definition <> f.definition || o.addition or o.has_other_path) is not false
               as is_other
      from fact f left join object o on o.kind = f.kind and o.key = f.key
), held as materialized (
    select r.revision, c.*
      from compared c
     cross join lateral generate_series(c.first, c.last) r (revision)
), known_body as (
    select distinct h.revision, h.kind, h.key
      from held h
      join body b on b.signature = h.signature and h.revision between b.first and b.last
     where h.kind = 'function'
       and (b.md5 in (h.body, h.lf_body) or b.stripped_md5 = h.stripped_body)
), found as materialized (
    select h.revision, p.problem, h.kind, h.key, h."table", h.definition as expected, h.actual
      from held h
      left join known_body b on b.revision = h.revision and b.kind = h.kind and b.key = h.key
     cross join lateral (
           select case when not h.is_there then 'missing'
                       when h.is_other then 'altered'
                       when h.kind = 'function' and b.key is null then 'altered body'
                       else h.flaw end as problem) p
     where p.problem is not null
    union all
    select r.revision, 'extra', o.kind, o.key, o."table", null, o.definition
      from object o
     cross join generate_series(0, {{head}}) r (revision)
      left join held h on h.revision = r.revision and h.kind = o.kind and h.key = o.key
     where h.key is null
       and ((o.kind, o.key) in (select f.kind, f.key from fact f)
            or o.kind = 'function'
               and o.name in (select split_part(f.signature, '(', 1) from fact f
                               where f.kind = 'function'))
), difference as (
    -- Those of a table include those of its parts.
    select d.*
      from found d
      left join found t on t.kind = 'table' and t.problem in ('missing', 'extra')
                       and t.revision = d.revision and t.problem = d.problem
                       and t.key = d."table"
     where t.key is null
), chosen as (
    select r.revision
      from generate_series(0, {{head}}) r (revision)
      left join (select d.revision, count(*) as number from difference d group by d.revision) c
             on c.revision = r.revision
     where r.revision = coalesce({{wanted}}, r.revision)
       and exists (select from pg_namespace n where n.nspname = {{schema}})
     order by coalesce(c.number, 0), r.revision
     limit 1
)
select case c.revision when 0 then 'base' else lpad(c.revision::text, 4, '0') end as revision,
       d.revision is null as exact, d.problem, d.kind, d.key as object, d.expected, d.actual
  from chosen c left join difference d on d.revision = c.revision
 order by d.problem, d.kind, d.key collate "C"
