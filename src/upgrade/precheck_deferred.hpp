// Pre-check of a change: deferred triggers of users, which the server does not fire in the
// security-restricted operation of a change.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

#include <string>

namespace procrastinate::upgrade
{

// Throws Refusal PM009 if a trigger of a user's on one of the tables (names, separated by blanks)
// is deferred. Inside an SPI connection and under a search_path of the server's own.
void require_no_deferred_triggers(const catalog::Installation &installation,
                                  const std::string &tables);

// The history, and the tables whose rows the migrations after `current` write.
std::string written_tables(chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
