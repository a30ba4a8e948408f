#include "upgrade/current_state.hpp"

#include "catalog/drift.hpp"
#include "catalog/structure.hpp"
#include "server/messages.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::upgrade
{

InstallationState read_current_state(const catalog::Installation &installation)
{
    InstallationState state = read_state(installation);
    if (state.current.revision || state.is_unknown_history())
        return state;
    const std::optional<chain::Revision> exact = server::undone([&installation] {
        server::ContextResource memory;
        const auto structure = catalog::structure(installation, memory);
        return catalog::exact_match(server::span_of(structure));
    });
    state.is_by_catalog = exact.has_value();
    if (exact)
        state.current = {*exact, {}, {}};
    return state;
}

void notice_if_by_catalog(const InstallationState &state, const catalog::Installation &installation)
{
    if (state.is_by_catalog)
        server::notice(catalog::in_schema(installation) +
                       " has no history; its catalog is that of " +
                       std::string(chain::name(*state.current.revision)));
}

} // namespace procrastinate::upgrade
