// CALL procrastinate_migrate_all: migrates the installations of the database, each as
// procrastinate_migrate() does, in background workers; and procrastinate_require_all().
#pragma once

#include "fleet/installations.hpp"
#include "online/call_options.hpp"

#include <string_view>
#include <vector>

namespace procrastinate::fleet
{

enum class OnError
{
    stop,     // begin with no other installation
    carry_on, // with the others
};

struct FleetOptions
{
    int workers = 2; // installations at a time
    int canary = 1;  // installations that are migrated first, one after the other
    OnError on_error = OnError::stop;
    bool dry_run = false; // only tell what it would do
};

// Those of the installations that the current role may change and whose schema's name fits one of
// the patterns of LIKE, by name.
std::vector<ListedInstallation> selected(const std::vector<std::string> &patterns);

// Migrates them. An installation that fails does not end the others' work. Tells the end of each in
// a NOTICE or a WARNING. Throws Refusal PM016 at the end if one has failed, 53400 if no background
// worker can be started. In a procedure that may commit, outside of an SPI connection; commits.
void migrate_all(std::string_view target, const std::vector<std::string> &patterns,
                 const online::CallOptions &call, const FleetOptions &options);

} // namespace procrastinate::fleet
