// Way of an installation from its current revision to the target of a call.
#pragma once

#include "chain/range.hpp"
#include "upgrade/installation_state.hpp"

#include <algorithm>

namespace procrastinate::upgrade
{

struct UpgradePath
{
    chain::Revision current;
    chain::Revision target;
    bool has_history;                         // the table
    std::optional<chain::StepName> under_way; // last recorded step of the migration after `current`
    std::optional<TimestampTz> began;         // begin of that migration

    // From base to head the schema of head is created directly, instead of by every migration.
    bool is_direct() const
    {
        return current == chain::base && target == chain::head() && !under_way;
    }
    bool reached_target() const { return current >= target; }
    // Where the installation is once the path has been run.
    chain::Revision reached() const { return std::max(current, target); }
};

// Resolves the target. `resolved` is the target if it has been resolved before. A target before the
// current revision is reached. Throws Refusal PM001, PM002, PM005, PM006 and PM009 if the
// installation cannot be upgraded.
UpgradePath plan_upgrade_path(const catalog::Installation &installation,
                              const InstallationState &state, std::string_view target,
                              std::optional<chain::Revision> resolved = {});

// The migrations that an upgrade to the target would apply: those after range.start, up to
// range.end, which may be before it. None if the history is that of a newer version, past every
// revision known here. Throws Refusal PM001 and PM002 for the target, and PM005 for tables without
// a history.
chain::Range pending_range(const catalog::Installation &installation,
                           const InstallationState &state, std::string_view target);

} // namespace procrastinate::upgrade
