// The DROP statements that take Procrastinate's objects out of a schema. Plain data without a
// server.
#pragma once

#include "catalog/drift.hpp"

namespace procrastinate::catalog
{

struct Drop
{
    Difference difference; // from base
    std::string statement; // empty: an object of the user's
};

// The objects of a schema, in an order in which their statements need no CASCADE: functions before
// the tables whose types they use, a table before those that it references, trigger functions after
// the tables, types last. Objects of the user's, which may be in the way, come first. `schema` is
// quoted as an identifier.
std::vector<Drop> base_drops(std::span<const CatalogObject> structure, std::string_view schema);

} // namespace procrastinate::catalog
