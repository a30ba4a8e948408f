// Counts changes of the catalog, so that a session need not read it again while it is the same.
#pragma once

#include <cstdint>

namespace procrastinate::server
{

// A number that grows when the server tells this session of a change to a relation, its parts, a
// function, a type or a schema of this database: by this session at the end of a command, by others
// once they have committed. It may grow without one. Throws ServerError.
std::uint64_t catalog_changes();

} // namespace procrastinate::server
