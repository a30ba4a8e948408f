#include "upgrade/upgrade_path.hpp"

#include "upgrade/jobs_table.hpp"

namespace procrastinate::upgrade
{

using chain::Revision;

UpgradePath plan_upgrade_path(const catalog::Installation &installation,
                              const InstallationState &state, std::string_view target,
                              std::optional<Revision> resolved)
{
    const Revision current = require_known(state, installation);
    require_tables(installation, current);
    const auto began = state.under_way ? std::optional(state.began) : std::nullopt;
    if (resolved)
        return {current, *resolved, state.has_history, state.under_way, began};
    const Revision end = chain::resolve_target(target, state.current);
    return {current, end, state.has_history, state.under_way, began};
}

chain::Range pending_range(const catalog::Installation &installation,
                           const InstallationState &state, std::string_view target)
{
    const Revision end = chain::resolve_target(target, state.current);
    if (state.is_unknown_history() && !state.current.revision)
        return {end, end};
    // A step that this version does not know belongs to a known revision all the same.
    const Revision current =
        state.unknown_step ? *state.current.revision : require_known(state, installation);
    return {current, end};
}

} // namespace procrastinate::upgrade
