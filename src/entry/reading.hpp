// Runs the bodies of functions that only read.
#pragma once

#include "catalog/installation.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"

namespace procrastinate::entry
{

// Runs `body` inside an SPI connection and under a search_path of the server's own. Throws Refusal
// 42501 if the caller has no USAGE on the installation's schema.
template <typename Body>
Datum reading(const std::optional<catalog::Installation> &installation, Body body)
{
    if (installation)
        catalog::require_usage(*installation);
    return server::spi::connected([&] { return server::with_search_path(nullptr, body); });
}

// The same for functions that compare the catalog: the locks that this takes on the installation's
// tables end with `body`. What the caller's transaction locked before stays locked.
template <typename Body>
Datum comparing(const std::optional<catalog::Installation> &installation, Body body)
{
    return reading(installation, [&] { return server::undone(body); });
}

} // namespace procrastinate::entry
