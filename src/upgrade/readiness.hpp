// Checks of the schema before an upgrade: names that are taken, drift, dependent objects, rows that
// a migration would fail at.
#pragma once

#include "catalog/installation.hpp"
#include "catalog/structure.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// Refuses an upgrade from `current` to `target` that would fail on its way. Reports at once:
// - names that the migrations need and other objects have: PM005 from base, else PM009
// - by the setting procrastinate_migrate.verify, differences from `current`, objects that no known
//   revision has, and what the migrations would fail at: PM009, or a WARNING
// - deferred triggers on tables whose rows the migrations write: PM009
// - version tables that the settings name and that cannot be synced: 22023, 42501, PM010
// Locks the version tables, and tables whose rows it reads. Call it after Change::prepare().
void require_ready(const catalog::Installation &installation, chain::Revision current,
                   chain::Revision target);

// Refuses, as above, rows that the migrations would fail at: of one that is under way, the catalog
// fits no revision, but rows of clients may have come since its check.
void require_no_refused_rows(const catalog::Installation &installation, chain::Revision current,
                             chain::Revision target);

} // namespace procrastinate::upgrade
