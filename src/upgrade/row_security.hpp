// Row-level security that is forced on tables of an installation: its policies apply to the owner,
// too, and a change runs as the owner.
#pragma once

#include "catalog/installation.hpp"

namespace procrastinate::upgrade
{

// Throws Refusal PM010 if policies of a table apply to the current role: they could hide rows from
// a migration, and a query that they affect fails. Names all such tables, with the statements that
// switch it off. Reads the catalog only, and takes no lock.
void require_no_forced_policies(const catalog::Installation &installation);

// The same, but only if the history, which the change is about to read, is among the tables.
void require_no_forced_policies_on_history(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
