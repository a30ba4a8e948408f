// 0024 puts a new column in the place of an old one: what users have made of the old one would go with it.
#pragma once

#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

inline constexpr chain::Revision replaces_column = 24;

// Where the way leads through 0024: throws Refusal PM009 with everything that depends on procrastinate_events.job_id
// and is not Procrastinate's, with the tables that inherit it, with the triggers that may set it or that batches to
// come would fire, and with what batches or the new index would fail at; before the first step with what has a name
// that is wanted, and with the publications that would send the new column, too. Inside an SPI connection and under a search_path of the server's own.
void require_replaceable(const catalog::Installation &installation,
                         const upgrade::UpgradePath &path);

} // namespace procrastinate::online
