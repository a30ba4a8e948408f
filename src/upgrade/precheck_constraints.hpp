// Pre-check: rows that a CHECK constraint or a unique index of pending migrations would refuse.
#pragma once

#include "catalog/structure.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// For each constraint or index a sentence without its full stop, with the number of rows and an
// example. The tables must be as the facts say, locked, and owned by the caller: their rows are
// read. Needs an SPI connection.
std::vector<std::string> find_refused_rows(const catalog::Installation &installation,
                                           std::span<const catalog::CatalogObject> structure,
                                           chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
