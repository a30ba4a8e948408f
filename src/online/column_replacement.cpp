#include "online/column_replacement.hpp"

#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

// 17.12 keeps a number of its own, pg_attver, among the options of every column. The index that takes the place of the
// old one is built where the caller's default_tablespace says. Since 19 pg_publication_rel has exceptions, too.
// $1: the schema; $2: whether batches are to come; $3: whether the column has still to be added.
constexpr const char *query = R"(
with events as (
       select e.oid, a.attnum, a.attacl, a.attoptions, a.attstattarget, a.attinhcount
         from pg_class e join pg_attribute a on a.attrelid = e.oid and a.attname = 'job_id'
        where e.relnamespace = $1 and e.relname = 'procrastinate_events'),
     space_to_come as (
       select coalesce(max(b.oid) filter (where b.oid <> d.dattablespace), 0::oid) as oid
         from pg_tablespace b, pg_database d
        where d.datname = current_database() and b.spcname = current_setting('default_tablespace')
       having not exists (select from events e join pg_index i on i.indrelid = e.oid join pg_class c on c.oid = i.indexrelid
                           where c.relname = 'procrastinate_events_job_id_bigint' and i.indisvalid)),
     published as (
       select r.prpubid, r.prattrs, coalesce(to_jsonb(r) ->> 'prexcept', 'false') = 'true' as is_exception
         from events e join pg_publication_rel r on r.prrelid = e.oid)
select pg_describe_object(d.classid, d.objid, d.objsubid)
  from events e join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = e.oid and d.refobjsubid = e.attnum
  left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
  left join pg_class i on d.classid = 'pg_class'::regclass and i.oid = d.objid
  left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
 where coalesce(k.contype, '?') <> 'n'
   and coalesce(k.conname, i.relname, t.tgname, '?')
       not in ('procrastinate_events_job_id_fkey', 'procrastinate_events_job_id_bigint_same',
               'procrastinate_events_fill_job_id_bigint')
union
select case n when 1 then 'privileges' when 2 then 'options' when 3 then 'a statistics target'
              when 4 then 'a comment' else 'a security label' end || ' of the column'
  from events e, generate_series(1, 5) as n
 where case n when 1 then e.attacl is not null
              when 2 then exists (select from unnest(e.attoptions) as o where o !~ '^pg_attver=')
              when 3 then coalesce(e.attstattarget, -1) <> -1
              when 4 then col_description(e.oid, e.attnum) is not null
              else exists (select from pg_seclabel l
                            where l.classoid = 'pg_class'::regclass and l.objoid = e.oid and l.objsubid = e.attnum) end
union
select pg_describe_object('pg_trigger'::regclass, t.oid, 0)
       || case n when 1 then ', which the batches would fire' else ', which may set the column after the new one is filled' end
  from events e join pg_trigger t on t.tgrelid = e.oid, generate_series(1, 2) as n
 where t.tgname <> 'procrastinate_events_fill_job_id_bigint'
   and case n when 1 then $2 and not t.tgisinternal and t.tgenabled not in ('D', 'R') and t.tgtype & 16 <> 0
                          and t.tgattr::text = ''
              else t.tgenabled <> 'D' and t.tgtype & 3 = 3
                   and (t.tgtype & 16 <> 0
                        or t.tgtype & 4 <> 0 and t.tgname > 'procrastinate_events_fill_job_id_bigint') end
union
select pg_describe_object('pg_rewrite'::regclass, r.oid, 0) || ', which the batches would fire'
  from events e join pg_rewrite r on r.ev_class = e.oid
 where $2 and r.ev_type = '2' and r.ev_enabled not in ('D', 'R')
union
select case n when 1 then 'options' when 2 then 'a mark for CLUSTER' else 'a comment' end || ' of '
       || pg_describe_object(o.class, o.oid, 0)
  from events e,
       lateral (select 'pg_class'::regclass, c.oid, c.reloptions is not null, i.indisclustered
                  from pg_index i join pg_class c on c.oid = i.indexrelid
                 where i.indrelid = e.oid and c.relname = 'procrastinate_events_job_id_fkey'
                union all
                select 'pg_constraint'::regclass, k.oid, false, false
                  from pg_constraint k where k.conrelid = e.oid and k.conname = 'procrastinate_events_job_id_fkey'
               ) as o(class, oid, has_options, is_clustered), generate_series(1, 3) as n
 where case n when 1 then o.has_options when 2 then o.is_clustered
              else exists (select from pg_description d where d.classoid = o.class and d.objoid = o.oid) end
union
select pg_describe_object('pg_class'::regclass, c.oid, 0) || ', which stays in its tablespace with SET default_tablespace = '
       || quote_literal(coalesce(b.spcname, ''))
  from events e join pg_index i on i.indrelid = e.oid join pg_class c on c.oid = i.indexrelid
  join space_to_come s on s.oid <> c.reltablespace left join pg_tablespace b on b.oid = c.reltablespace
 where c.relname = 'procrastinate_events_job_id_fkey'
union
select pg_describe_object('pg_tablespace'::regclass, s.oid, 0) || ', in which you may not create an index'
  from space_to_come s
 where s.oid <> 0 and not has_tablespace_privilege(s.oid, 'CREATE')
union
select pg_describe_object('pg_constraint'::regclass, k.oid, 0) || ', which events that are there may not satisfy'
  from events e join pg_constraint k on k.conrelid = e.oid
 where $2 and not k.convalidated
   and (k.contype = 'c'
        and k.conname not in ('procrastinate_events_job_id_bigint_same', 'procrastinate_events_job_id_bigint_check')
        and coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
        or k.contype = 'f' and k.conname = 'procrastinate_events_job_id_fkey')
union
select 'policies of ' || pg_describe_object('pg_class'::regclass, e.oid, 0) || ', which may hide events from you'
  from events e
 where $2 and row_security_active(e.oid)
union
select pg_describe_object('pg_publication'::regclass, p.oid, 0) || ', whose subscribers have no column job_id_bigint'
  from events e, pg_publication p
 where $3
   and (p.puballtables and not exists (select from published r where r.prpubid = p.oid and r.is_exception)
        or exists (select from published r where r.prpubid = p.oid and not r.is_exception and r.prattrs is null)
        or exists (select from pg_publication_namespace s where s.pnpubid = p.oid and s.pnnspid = $1))
   and exists (select from pg_replication_slots l where l.plugin = 'pgoutput' and l.database = current_database())
union
select pg_describe_object('pg_class'::regclass, i.inhrelid, 0) || ', which inherits the column but not the trigger that fills it'
  from events e join pg_inherits i on i.inhparent = e.oid
union
select pg_describe_object('pg_class'::regclass, i.inhparent, 0) || ', from which the column is inherited'
  from events e join pg_inherits i on i.inhrelid = e.oid
  join pg_attribute a on a.attrelid = i.inhparent and a.attname = 'job_id'
 where e.attinhcount > 0
union
select pg_describe_object(o.class, o.oid, o.part) || ', whose name is wanted meanwhile'
  from events e,
       lateral (select 'pg_class'::regclass, e.oid, a.attnum::int from pg_attribute a
                 where a.attrelid = e.oid and a.attname = 'job_id_bigint'
                union all
                select 'pg_trigger'::regclass, t.oid, 0 from pg_trigger t
                 where t.tgrelid = e.oid and t.tgname = 'procrastinate_events_fill_job_id_bigint'
                union all
                select 'pg_constraint'::regclass, k.oid, 0 from pg_constraint k
                 where k.conrelid = e.oid
                   and k.conname in ('procrastinate_events_job_id_bigint_same', 'procrastinate_events_job_id_bigint_check',
                                     'procrastinate_events_job_id_bigint_fkey')
                union all
                select 'pg_proc'::regclass, p.oid, 0 from pg_proc p
                 where p.pronamespace = $1 and p.proname = 'procrastinate_events_fill_job_id_bigint' and p.pronargs = 0
               ) as o(class, oid, part)
 where $3
union
select format('constraint procrastinate_events_job_id_bigint_same, which has gone; to have it back: ALTER TABLE %1$s ADD'
              ' CONSTRAINT procrastinate_events_job_id_bigint_same CHECK (job_id_bigint = job_id) NOT VALID; ALTER TABLE %1$s'
              ' VALIDATE CONSTRAINT procrastinate_events_job_id_bigint_same', e.oid::regclass)
  from events e
 where not $3
   and not exists (select from pg_constraint k
                    where k.conrelid = e.oid and k.conname = 'procrastinate_events_job_id_bigint_same')
 order by 1)";

std::string way_out(const catalog::Installation &installation, bool is_under_way)
{
    std::string hint = "Drop or validate that, or let it inherit no more, and make it again when "
                       "the schema is at 0024.";
    if (!is_under_way)
        hint += " Or let workers stand still while the table is rewritten: SELECT "
                "procrastinate_upgrade('0024', schema => " +
                std::string(installation.quoted_text) + ");";
    return hint;
}

// Publications may forbid it, by what they leave out.
std::string what_forbids_updates(const catalog::Installation &installation)
{
    const std::string statement = "EXPLAIN UPDATE " + std::string(installation.quoted) +
                                  ".procrastinate_events SET job_id = job_id WHERE false";
    try
    {
        server::undone([&statement] { return spi::execute(statement.c_str()); });
        return {};
    }
    catch (const server::ServerError &error)
    {
        const ErrorData &data = *error.data();
        if (data.sqlerrcode != ERRCODE_INVALID_COLUMN_REFERENCE &&
            data.sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
            throw;
        const std::string detail = data.detail == nullptr ? "" : ": " + std::string(data.detail);
        return data.message + detail.substr(0, detail.find_last_not_of('.') + 1);
    }
}

} // namespace

void require_replaceable(const catalog::Installation &installation,
                         const upgrade::UpgradePath &path)
{
    if (path.current >= replaces_column || path.target < replaces_column)
        return;
    const int done =
        path.under_way && path.current + 1 == replaces_column ? path.under_way->number : 0;
    const std::vector<chain::Step> steps = chain::steps(replaces_column);
    const bool are_batches_to_come =
        std::any_of(steps.begin(), steps.end(), [done](const chain::Step &step) {
            return step.kind == chain::StepKind::batched && step.number > done;
        });
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::boolean_parameter(are_batches_to_come),
                                spi::boolean_parameter(done == 0)};
    const spi::Rows rows = spi::read_latest(query, parameters);
    common::Findings findings;
    // What has been dropped by now has no description.
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        if (const auto text = rows.text(row, 1))
            findings.add(common::capitalized(std::string(*text)));
    if (are_batches_to_come)
        if (const std::string why = what_forbids_updates(installation); !why.empty())
            findings.add(common::capitalized(why));
    if (findings.any())
        throw common::Refusal{
            common::sqlstate::catalog_contradicts,
            "column procrastinate_events.job_id cannot be replaced while others work",
            findings.text(), way_out(installation, path.under_way.has_value())};
}

} // namespace procrastinate::online
