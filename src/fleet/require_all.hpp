// procrastinate_require_all(): procrastinate_require() for the installations of the database.
#pragma once

#include "upgrade/require.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::fleet
{

// The number of installations that were checked, which are those that selected() finds. Throws
// Refusal PM016 with what upgrade::require() refuses, PM015 if there is no installation. Inside an
// SPI connection and under a search_path of the server's own; takes ACCESS SHARE on their tables.
int require_all(std::string_view target, upgrade::Drift drift,
                const std::vector<std::string> &patterns);

} // namespace procrastinate::fleet
