// Objects of a schema that a revision has under another name: constraints, indexes, sequences and
// triggers of the same definition. Plain data without a server.
#pragma once

#include "catalog/catalog_object.hpp"

#include <vector>

namespace procrastinate::catalog
{

// True if the object is as the fact says, under that name or another.
bool fits(const chain::Fact &fact, const CatalogObject &object);

struct Rename
{
    const chain::Fact *fact;    // what should be there
    const CatalogObject *found; // what is there instead
};

class Renames
{
  public:
    // Pairs facts that are missing with objects that no fact of the revision describes. Each is in
    // one pair at most.
    Renames(std::span<const chain::Fact *const> missing,
            std::span<const CatalogObject *const> extra);

    // The object that a missing fact has become; null if there is none.
    const CatalogObject *found(const chain::Fact &fact) const;

    bool has(const CatalogObject &object) const;

    // True if a column differs from its fact by the name of a renamed sequence only: the sequence
    // that the column owns and that its default takes numbers from.
    bool explain(const chain::Fact &column, const CatalogObject &object) const;

  private:
    std::vector<Rename> pairs_;
};

} // namespace procrastinate::catalog
