// Reads the catalog for a reader that does not wait.
#pragma once

#include "catalog/structure.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::upgrade
{

// Runs body() if the tables can be locked at once, and returns its result; else the value
// `otherwise`. Keeps no lock. Needs an SPI connection and a search_path of the server's own.
template <typename Result, typename Body>
Result with_catalog_at_once(const catalog::Installation &installation, Result otherwise, Body body)
{
    return server::undone(
        [&]() -> Result { return catalog::try_lock(installation) ? body() : otherwise; });
}

} // namespace procrastinate::upgrade
