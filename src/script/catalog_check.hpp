// The comparison of a catalog with the facts as one query, for servers without this extension.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::script
{

// src/sql/catalog_check.sql, without a semicolon. `schema`: an expression of type text. Compares
// with `revision`, or with the nearest.
std::string catalog_check(std::string_view schema, std::optional<chain::Revision> revision);

} // namespace procrastinate::script
