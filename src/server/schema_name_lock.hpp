// A schema that keeps its name.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// To the end of the transaction nobody can rename or drop the schema, though no lock on it would keep
// its owner from that: what is looked up by its name stays what it is. False where there is no such
// schema any more. Waits, as an update of a row does. Writes: not for read-only transactions.
bool lock_schema_name(Oid schema);

} // namespace procrastinate::server
