// Reads the catalog for a reader that neither waits nor fails.
#pragma once

#include "catalog/structure.hpp"
#include "common/refusal.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::upgrade
{

// Runs body() if the tables can be locked at once, and returns its result; else, and if there are
// too many objects to compare, the value `otherwise`. Keeps no lock. Needs an SPI connection and a
// search_path of the server's own.
template <typename Result, typename Body>
Result with_catalog_at_once(const catalog::Installation &installation, Result otherwise, Body body)
{
    return server::undone([&]() -> Result {
        if (!catalog::try_lock(installation))
            return otherwise;
        try
        {
            return body();
        }
        catch (const common::Refusal &)
        {
            return otherwise;
        }
    });
}

} // namespace procrastinate::upgrade
