// What must be so before the first change, so that nothing is begun that could not be finished.
#pragma once

#include "catalog/installation.hpp"
#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// For an error at the very beginning of every function that changes something: a read-only
// transaction or standby (25006), a library that is not the installed extension's (PM008).
void require_changeable(const char *command);

// Rights (42501, PM010), names that the migrations up to `target` need and others have taken (PM005
// at base, else PM009), and, by the setting procrastinate_migrate.verify, differences from `current`
// and what the migrations would fail at (PM009). All of it is reported at once.
void require_fit(const catalog::Installation &installation, chain::Revision current,
                 chain::Revision target, bool has_history);

// Refuses (PM009) where the history tells of a revision and the tables are gone.
void require_tables(const catalog::Installation &installation, chain::Revision current);

// Rights, for a caller who may not even look into the schema, before anything else is read.
void require_sight(const catalog::Installation &installation);

// Refuses (PM009) to record a revision that the schema differs from.
void require_same(const catalog::Installation &installation, chain::Revision revision);

// Inside a transaction that sees the rows of its beginning only, what others wrote meanwhile would
// be missed: refused (25001) unless there is nothing yet.
void require_current_rows(bool has_rows);

} // namespace procrastinate::upgrade
