// What of others depends on what migrations drop or change.
#pragma once

#include "catalog/drift.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// Views, rules, triggers, policies, defaults, publications, columns of the type of a table's rows.
// Sentences without a full stop. Inside an SPI connection and under a search_path of the server's own.
std::vector<std::string> find_dependents(const catalog::Comparison &comparison,
                                         chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
