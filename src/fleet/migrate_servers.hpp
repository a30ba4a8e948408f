// CALL procrastinate_migrate_servers: migrates the installations on other servers and in other
// databases, by CALL procrastinate_migrate_all there.
#pragma once

#include "fleet/fleet_run.hpp"
#include "online/call_options.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::fleet
{

// Those of foreign servers that the current role may use and whose names fit one of the patterns.
// `schemas` are the patterns there. Throws what run_all() throws; Refusal 22023 if no server fits;
// 55000 without dblink. In a procedure that may commit, outside of an SPI connection; commits.
void migrate_servers(std::string_view target, const std::vector<std::string> &servers,
                     const std::vector<std::string> &schemas, const online::CallOptions &call,
                     const FleetOptions &options);

} // namespace procrastinate::fleet
