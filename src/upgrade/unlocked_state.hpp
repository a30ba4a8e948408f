// The state of an installation, for lists of many: without waiting for a lock.
#pragma once

#include "upgrade/installation_state.hpp"

namespace procrastinate::upgrade
{

// As read_state() of the schema. Nothing if its history table is locked, for example by DROP, or if
// another table has the name now. Keeps no lock.
std::optional<InstallationState> read_unlocked_state(Oid schema, Oid history);

} // namespace procrastinate::upgrade
