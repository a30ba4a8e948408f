// What is to be recorded of a schema that nobody kept a history of.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// The revision that the catalog shows; refuses (PM009) where it shows none exactly.
chain::Revision require_exact(const catalog::Installation &installation);

// Warns where another tool has written down another revision.
void warn_of_external_versions(const catalog::Installation &installation, chain::Revision revision);

} // namespace procrastinate::upgrade
