// The statements that repair differences between a schema and its revision. Plain data without a
// server.
#pragma once

#include "catalog/drift.hpp"

namespace procrastinate::catalog
{

// One text for each difference, of one or more statements that can be run under any search_path and
// in a transaction. A text is empty if no statement can repair the difference without the loss of a
// row or of an object of the user's, if the repair needs an object that cannot be repaired, or if
// it is left to a `post` migration.
// `schema` is quoted as an identifier.
std::vector<std::string> repair_statements(std::span<const Difference> differences,
                                           chain::Revision revision, std::string_view schema);

// True if procrastinate_repair() runs the statement of the difference. It changes no owner: which
// role shall own the installation is the user's decision.
bool is_run(const Difference &difference, std::string_view statement);

// True if it has something to run for these differences.
bool can_repair(std::span<const Difference> differences, chain::Revision revision);

// True if it has something to run for every difference from the revision.
bool can_repair_all(const Comparison &comparison, chain::Revision revision);

} // namespace procrastinate::catalog
