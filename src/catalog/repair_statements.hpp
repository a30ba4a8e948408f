// What mends a difference. Plain data without a server.
#pragma once

#include "catalog/drift.hpp"

namespace procrastinate::catalog
{

// For each difference one or more statements that can be run under any search_path, in a transaction;
// empty where there are none that lose neither a row nor an object of the user's, or where they
// need something else that cannot be mended. `schema` is quoted as an identifier.
std::vector<std::string> repair_statements(std::span<const Difference> differences,
                                           chain::Revision revision, std::string_view schema);

} // namespace procrastinate::catalog
