// Reads the objects of an installation from the server's catalog, spelled as the facts are
// (chain::Fact), whatever the caller's search_path and settings.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "server/memory.hpp"

namespace procrastinate::catalog
{

// The objects with names of Procrastinate's, all parts of its tables, the rules on them, and up to
// 100 views. Members of extensions are left out. Objects elsewhere in the database cost no time.
//
// Needs an SPI connection and a search_path of the server's own. The objects live as long as the
// connection and `memory`. Takes ACCESS SHARE on the tables: a concurrent migration is seen as a
// whole or not at all.
server::pmr::vector<CatalogObject> structure(const Installation &installation,
                                             server::pmr::memory_resource &memory);

// Takes the locks of structure() without waiting. Returns false if one cannot be had; then some may
// be held until the (sub)transaction ends.
bool try_lock(const Installation &installation);

} // namespace procrastinate::catalog
