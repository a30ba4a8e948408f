// Rows that a constraint or an index of migrations to come would refuse.
#pragma once

#include "catalog/structure.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// Counted, with an example. Sentences without a full stop. The tables must be locked and the caller's,
// for their rows are read; and be as the facts say. Inside an SPI connection.
std::vector<std::string> find_refused_rows(const catalog::Installation &installation,
                                           std::span<const catalog::CatalogObject> structure,
                                           chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
