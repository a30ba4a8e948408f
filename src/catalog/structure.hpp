// What of Procrastinate a schema holds, read from the server's catalog in the words of the facts
// (chain::Fact), whatever the caller's search_path and settings are.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "server/memory.hpp"

namespace procrastinate::catalog
{

// Inside an SPI connection and under a search_path of the server's own. Found by names and from
// there by the catalog's indexes: what else the database holds costs nothing. Members of extensions
// are left out. Takes ACCESS SHARE locks on the tables: a migration at work is seen as a whole or not
// at all.
server::pmr::vector<CatalogObject> structure(const Installation &installation,
                                             server::pmr::memory_resource &memory);

} // namespace procrastinate::catalog
