// Online script: an upgrade by steps as text for psql, for a server without this extension.
#pragma once

#include "catalog/installation.hpp"
#include "chain/range.hpp"

#include <string>

namespace procrastinate::script
{

// The script that goes through the steps of procrastinate_migrate() from range.start to range.end,
// each in a transaction of its own, with lock retries. It goes on from any place within the range:
// the history that it shares with procrastinate_migrate() tells. Where nothing is installed it does
// what offline_script() does. Reads nothing from the database.
std::string online_script(const catalog::Installation &installation, chain::Range range);

} // namespace procrastinate::script
