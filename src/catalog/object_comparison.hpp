// The differences between one object of the catalog and its fact. Plain data without a server.
#pragma once

#include "catalog/drift.hpp"

namespace procrastinate::catalog
{

// Appends what differs in an object that is there and should be.
void compare(const chain::Fact &fact, const CatalogObject &object, chain::Revision revision,
             std::vector<Difference> &differences);

// The difference of a fact that is not there, or not under its name; `objects` are all of the
// schema.
Difference missing(const chain::Fact &fact, std::span<const CatalogObject> objects);
Difference renamed(const chain::Fact &fact, const CatalogObject &object,
                   std::span<const CatalogObject> objects);

// Of an object that should not be there, or that no revision has.
Difference extra(const CatalogObject &object);

// Another problem of an object, with what is expected of it.
Difference other(Problem problem, Severity severity, const chain::Fact &fact,
                 const CatalogObject &object, std::string_view expected, std::string_view actual);

// True if the migration to the revision is a `post` one.
bool is_post(chain::Revision revision);

} // namespace procrastinate::catalog
