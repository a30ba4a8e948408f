#include "upgrade/completion.hpp"

#include "catalog/drift.hpp"
#include "catalog/repair_statements.hpp"
#include "server/pause.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/precheck_deferred.hpp"

namespace procrastinate::upgrade
{

using chain::Revision;

bool can_complete(const catalog::Installation &installation,
                  std::span<const catalog::CatalogObject> structure, Revision current,
                  Revision revision)
{
    return current != chain::base && current < revision &&
           written_tables(current, revision) == catalog::history_table &&
           catalog::can_repair_all(structure, revision) &&
           !names_taken(installation, structure, current, revision).findings.empty() &&
           !catalog::nearer_later_revision(structure, revision, server::check_interrupts);
}

std::optional<Revision> revision_to_complete(const catalog::Installation &installation,
                                             std::span<const catalog::CatalogObject> structure,
                                             Revision current)
{
    for (Revision revision = current + 1; revision <= chain::head(); ++revision)
    {
        server::check_interrupts();
        if (can_complete(installation, structure, current, revision))
            return revision;
    }
    return std::nullopt;
}

} // namespace procrastinate::upgrade
