// The argument that names an installation's schema.
#pragma once

#include "server/arguments.hpp"

namespace procrastinate::entry
{

// The schema that the caller names: by its exact name (a string type, or name), as a regnamespace
// or by its OID. Nothing if it is NULL. Throws Refusal 3F000 if no schema has that name, 42804 for
// a value of another type.
std::optional<Oid> schema_argument(const server::Arguments &arguments, int number);

} // namespace procrastinate::entry
