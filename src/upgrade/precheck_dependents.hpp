// Pre-check: objects of the user's that depend on objects which pending migrations drop or change.
#pragma once

#include "catalog/drift.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// Views, rules, triggers, policies, defaults, publications, columns of a table's row type. For each
// a sentence without its full stop. Needs an SPI connection and a search_path of the server's own.
std::vector<std::string> find_dependents(const catalog::Comparison &comparison,
                                         chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
