#include "upgrade/precheck_deferred.hpp"

#include "chain/step.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "server/spi.hpp"
#include "sql/deferred_triggers.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using chain::Revision;

} // namespace

std::string written_tables(Revision current, Revision target)
{
    std::string tables = catalog::history_table;
    for (Revision revision = current + 1; revision <= target; ++revision)
    {
        if (chain::migration(revision).writes_rows)
            tables += " procrastinate_jobs";
        for (const chain::Step &step : chain::steps(revision))
            if (step.kind == chain::StepKind::batched)
                tables.append(" ").append(step.table);
    }
    return tables;
}

void require_no_deferred_triggers(const catalog::Installation &installation,
                                  const std::string &tables)
{
    const std::array parameters{spi::oid_parameter(installation.schema),
                                spi::text_parameter(tables)};
    const spi::Rows rows = spi::read_latest(sql::deferred_triggers, parameters);
    if (rows.count() == 0)
        return;
    common::Findings findings;
    std::string hint = "Disable it, and enable it after the change:";
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        findings.add(std::string(rows.text(row, 1).value_or("")));
        hint.append("\n").append(rows.text(row, 2).value_or(""));
    }
    throw common::Refusal{common::sqlstate::catalog_contradicts,
                          catalog::in_schema(installation) +
                              " has deferred triggers that the change would fire",
                          findings.text() + "\nA change runs as the installation's owner in a "
                                            "security-restricted operation, in which PostgreSQL "
                                            "fires no deferred trigger.",
                          hint};
}

} // namespace procrastinate::upgrade
