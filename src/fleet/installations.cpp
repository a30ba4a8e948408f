#include "fleet/installations.hpp"

#include "catalog/installation.hpp"
#include "chain/facts.hpp"
#include "common/refusal.hpp"
#include "server/pause.hpp"
#include "server/spi.hpp"
#include "sql/installation_schemas.hpp"
#include "upgrade/acting_role.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/unlocked_state.hpp"

namespace procrastinate::fleet
{

namespace
{

namespace spi = server::spi;
using upgrade::InstallationState;

// A schema with tables of Procrastinate's names.
struct Candidate
{
    Oid schema;
    std::optional<Oid> history;
    bool is_readable; // by the current role
    std::optional<std::int64_t> jobs;
};

std::vector<Candidate> candidates()
{
    const std::string names = chain::names_of({chain::Kind::table}) + " " + catalog::history_table +
                              " " + catalog::fetch_barrier_table;
    const std::array parameters{spi::text_parameter(names)};
    const spi::Rows rows = spi::read_latest(sql::installation_schemas, parameters);
    std::vector<Candidate> found;
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        Candidate one{
            DatumGetObjectId(rows.datum(row, 1).value_or(0)), {}, rows.boolean(row, 3), {}};
        if (const auto history = rows.datum(row, 2))
            one.history = DatumGetObjectId(*history);
        if (const auto jobs = rows.datum(row, 4))
            one.jobs = DatumGetInt64(*jobs);
        found.push_back(one);
    }
    return found;
}

void fill(ListedInstallation &listed, const InstallationState &state)
{
    const std::optional<chain::Revision> revision = state.current.revision;
    if (revision)
    {
        listed.revision = chain::name(*revision);
        listed.current = revision;
        listed.is_head = *revision == chain::head();
    }
    else
        listed.revision = state.recorded;
    if (state.last)
        listed.source = upgrade::source_text(state);
    else
        listed.source = state.is_foreign() ? "history of another database" : "no history";
    if (state.under_way)
        listed.under_way_since = state.began;
}

// Fills what the history tells, or why nothing does.
void read_history(ListedInstallation &listed, const Candidate &candidate,
                  const catalog::Installation &installation)
{
    if (!candidate.is_readable)
    {
        listed.source = "unknown: permission denied";
        return;
    }
    const std::optional<InstallationState> state =
        candidate.history ? upgrade::read_unlocked_state(candidate.schema, *candidate.history)
                          : std::optional(upgrade::read_state(installation));
    if (state)
        fill(listed, *state);
    else
        listed.source = "unknown: the history is locked";
}

ListedInstallation listed(const Candidate &candidate)
{
    const catalog::Installation installation = catalog::locate(candidate.schema);
    ListedInstallation one{
        candidate.schema, upgrade::owner_of(installation),  {}, {}, false, {}, {},
        candidate.jobs,   upgrade::may_change(installation)};
    try
    {
        read_history(one, candidate, installation);
    }
    catch (const common::Refusal &refusal)
    {
        // A table that only has the history's name: the other installations are shown all the same.
        one.source = refusal.message;
    }
    return one;
}

} // namespace

std::vector<ListedInstallation> installations()
{
    std::vector<ListedInstallation> found;
    for (const Candidate &candidate : candidates())
    {
        server::check_interrupts();
        try
        {
            found.push_back(listed(candidate));
        }
        catch (const common::Refusal &)
        {
            // Dropped meanwhile, or a schema that cannot hold an installation.
        }
    }
    return found;
}

} // namespace procrastinate::fleet
