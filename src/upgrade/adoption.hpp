// Records the revision that a schema is at, without running a migration.
#pragma once

#include "upgrade/change.hpp"

namespace procrastinate::upgrade
{

// Appends an event that leads to the revision, and creates the history if there is none. Throws
// Refusal as require_syncable(), require_no_deferred_triggers() and lock_tables(). Inside an SPI
// connection and under a search_path of the server's own, as all of these.
void record_revision(const catalog::Installation &installation, const InstallationState &state,
                     std::string_view event, chain::Revision revision, TimestampTz started);

// The isolation level at which a revision can be recorded.
Isolation isolation_to_record(const InstallationState &state);

// Records the revision that the catalog matches, unless it is recorded already; base is not
// recorded where nothing is installed. Returns it. `state` is what change.read_state() returned.
// Throws Refusal PM009 if the catalog matches none exactly, and what record_revision() throws.
chain::Revision adopt(const Change &change, const catalog::Installation &installation,
                      const InstallationState &state);

// In a copy of a database: records what the latest row says, unless this database has written a
// row with a known revision. Returns the revision. Throws Refusal PM006 if this version does not
// know it, PM009 if the tables are gone, and what record_revision() throws.
chain::Revision adopt_copy(const Change &change, const catalog::Installation &installation,
                           const InstallationState &state);

} // namespace procrastinate::upgrade
