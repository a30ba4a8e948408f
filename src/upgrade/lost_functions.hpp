// Functions that fail because of a search_path of their own that does not find the installation.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

#include <string>

namespace procrastinate::upgrade
{

// What to do about such functions, for a user; empty if the revision has none of them here. Nothing
// is found if with_catalog_at_once() cannot read the catalog.
// Needs an SPI connection and a search_path of the server's own; leaves no lock.
std::string advice_for_lost_functions(const catalog::Installation &installation,
                                      chain::Revision revision);

} // namespace procrastinate::upgrade
