// CALL procrastinate_migrate_all: migrates the installations of the database, each as
// procrastinate_migrate() does, in background workers; and procrastinate_require_all().
#pragma once

#include "fleet/fleet_run.hpp"
#include "fleet/installations.hpp"
#include "online/call_options.hpp"

#include <string_view>
#include <vector>

namespace procrastinate::fleet
{

// Those of the installations that the current role may change and whose schema's name fits one of
// the patterns of LIKE, by name.
std::vector<ListedInstallation> selected(const std::vector<std::string> &patterns);

// For a HINT: "To see all: SELECT ...".
std::string see_all_installations();

// Migrates them by run_all(). Throws also Refusal 53400 if no background worker can be started.
// Commits.
void migrate_all(std::string_view target, const std::vector<std::string> &patterns,
                 const online::CallOptions &call, const FleetOptions &options);

} // namespace procrastinate::fleet
