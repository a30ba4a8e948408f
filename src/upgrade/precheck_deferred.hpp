// Pre-check of an upgrade: deferred triggers of users, which the server does not fire in the
// security-restricted operation of a change.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// Throws Refusal PM009 if a trigger of a user's on the history, or on a table whose rows the
// migrations after `current` write, is deferred. Inside an SPI connection and under a search_path
// of the server's own.
void require_no_deferred_triggers(const catalog::Installation &installation,
                                  chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
