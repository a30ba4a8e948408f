// Migrations that someone has run in part by hand: they cannot run again, because what they create
// is there, but a repair can create the rest.
#pragma once

#include "catalog/catalog_object.hpp"
#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// True if a repair to `revision` makes the schema exactly that, objects of the migrations after
// `current` are there, none of these migrations changes rows, and the schema is nearer to no later
// revision. Inside an SPI connection and under a search_path of the server's own.
bool can_complete(const catalog::Installation &installation,
                  std::span<const catalog::CatalogObject> structure, chain::Revision current,
                  chain::Revision revision);

// The first revision after `current` for which that is true.
std::optional<chain::Revision>
revision_to_complete(const catalog::Installation &installation,
                     std::span<const catalog::CatalogObject> structure, chain::Revision current);

// For a HINT, after another line: which migrations after `current` up to `revision` change rows,
// which no repair does. Empty if none does.
std::string advice_on_rows(chain::Revision current, chain::Revision revision);

// For a HINT, after another line: what no repair does if migration `revision` was run in part.
std::string advice_on_rest(chain::Revision revision);

} // namespace procrastinate::upgrade
