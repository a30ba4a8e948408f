// Refuses tables whose definition would take too much memory in the session of a reader.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::catalog
{

// Throws Refusal PM010 if a table, or one that its constraints, rules and the like use, has a
// definition larger than server::most_definition. Opens none. Call it before a query that makes the
// server open the table.
void require_readable(Oid table);

} // namespace procrastinate::catalog
