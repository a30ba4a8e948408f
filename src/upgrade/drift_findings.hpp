// Differences between the catalog and the current revision, as procrastinate_require(),
// procrastinate_supports() and procrastinate_wait() find them.
#pragma once

#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "upgrade/current_state.hpp"

namespace procrastinate::upgrade
{

struct DriftFindings
{
    common::Findings errors = common::Findings(); // they break Procrastinate
    common::Findings warnings = common::Findings();
    bool can_repair = false; // procrastinate_repair() has something to run for the errors
};

// The differences from the state's current revision, which must be known. None in the middle of a
// migration, if a migration is recorded meanwhile, and if another session has locked a table.
// WhileLocked::waits waits for that session, and takes ACCESS SHARE on the installation's tables;
// otherwise no lock is left. Throws Refusal PM010 if the catalog cannot be compared.
// Inside an SPI connection and under a search_path of the server's own.
DriftFindings find_drift(const catalog::Installation &installation, const InstallationState &state,
                         WhileLocked while_locked = WhileLocked::skips_catalog);

// The refusal PM009 of the errors; its message and HINT fit the warnings, too.
common::Refusal drift_refusal(const DriftFindings &findings,
                              const catalog::Installation &installation, chain::Revision revision);

// The repair of the errors, or the call that lists all differences.
std::string hint_for_drift(const DriftFindings &findings,
                           const catalog::Installation &installation);

// What is wrong and what to do about it, in one line; empty without errors.
std::string advice_for_drift(const DriftFindings &findings,
                             const catalog::Installation &installation);

} // namespace procrastinate::upgrade
