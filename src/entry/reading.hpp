// Where the functions that only look do so.
#pragma once

#include "catalog/installation.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"

namespace procrastinate::entry
{

// Runs `body` where the schema can be read: an SPI connection and a search_path of the server's own.
template <typename Body>
Datum reading(const std::optional<catalog::Installation> &installation, Body body)
{
    if (installation)
        catalog::require_usage(*installation);
    return server::spi::connected([&] { return server::with_search_path(nullptr, body); });
}

} // namespace procrastinate::entry
