// The size of a table.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Bytes of the table's main fork, as it is now; 0 if there is no such table. Locks the table with
// ACCESS SHARE while it looks.
std::int64_t table_size(Oid schema, const char *table);

} // namespace procrastinate::server
