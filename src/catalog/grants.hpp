// Grants on an installation's objects: privileges that roles with the queue's rights lack.
#pragma once

#include "catalog/catalog_object.hpp"
#include "catalog/drift.hpp"
#include "catalog/installation.hpp"

#include <string>
#include <vector>

namespace procrastinate::catalog
{

// Adds what such roles lack on the objects that are there at the revision, a warning each, and
// keeps the order: worst first. lacking_grants.sql says which roles and privileges. `structure` is
// what catalog::structure() has returned. Inside an SPI connection and under a search_path of the
// server's own. Runs no code of other roles.
void add_lacking_grants(std::vector<Difference> &differences, const Installation &installation,
                        std::span<const CatalogObject> structure, chain::Revision revision);

// The query granted_objects.sql over expressions: OID of the schema, text[] of names.
std::string granted_objects_sql(std::string_view schema, std::string_view names);

} // namespace procrastinate::catalog
