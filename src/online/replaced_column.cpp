#include "online/replaced_column.hpp"

#include "chain/refusal.hpp"
#include "migrate/rights.hpp"
#include "server/spi.hpp"

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr chain::Revision replaced_by = 24;

constexpr const char *query = R"(
select pg_describe_object(d.classid, d.objid, d.objsubid)
  from pg_class e join pg_attribute a on a.attrelid = e.oid and a.attname = 'job_id'
  join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = e.oid and d.refobjsubid = a.attnum
  left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
  left join pg_class i on d.classid = 'pg_class'::regclass and i.oid = d.objid
 where e.relnamespace = $1 and e.relname = 'procrastinate_events'
   and coalesce(k.contype, '?') <> 'n'
   and coalesce(k.conname, i.relname, '?') <> 'procrastinate_events_job_id_fkey'
union
select 'privileges on the column'
  from pg_class e join pg_attribute a on a.attrelid = e.oid and a.attname = 'job_id'
 where e.relnamespace = $1 and e.relname = 'procrastinate_events' and a.attacl is not null
 order by 1)";

} // namespace

void require_replaceable(const catalog::Installation &installation, chain::Revision current,
                         chain::Revision target)
{
    if (current >= replaced_by || target < replaced_by)
        return;
    const std::array parameters{spi::oid_parameter(installation.schema)};
    const spi::Rows rows = spi::read_latest(query, parameters);
    migrate::Findings findings;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
        findings.add(migrate::capitalized(std::string(rows.text(row, 1).value_or(""))));
    if (findings.any())
        throw chain::Refusal{
            chain::sqlstate::catalog_contradicts,
            "column procrastinate_events.job_id cannot be replaced while others work",
            findings.text(),
            "Drop what depends on it, and make it again when the schema is at 0024. Or let workers "
            "stand still "
            "while the table is rewritten: SELECT procrastinate_upgrade('0024', schema => " +
                std::string(installation.quoted_text) + ");"};
}

} // namespace procrastinate::online
