// Offline script: an upgrade as text for psql, for a server without this extension.
#pragma once

#include "catalog/installation.hpp"
#include "chain/range.hpp"

#include <string>

namespace procrastinate::script
{

// The script that upgrades the installation's schema from range.start to range.end. It has one
// transaction, or as many as new enum labels need. Each checks that the schema is at the revision
// that it starts from. Reads nothing from the database.
std::string offline_script(const catalog::Installation &installation, chain::Range range);

// Its transactions, without the heading.
std::string offline_transactions(const catalog::Installation &installation, chain::Range range);

} // namespace procrastinate::script
