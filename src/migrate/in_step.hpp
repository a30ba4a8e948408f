// Alembic's table kept in step with a change, in the same transaction and in Alembic's own ids.
#pragma once

#include "chain/chain.hpp"

namespace procrastinate::migrate
{

// Does nothing unless procrastinate_migrate.alembic_version names a table. Throws Refusal PM010 where
// that could run code of another role; warns where the table has no row of `from` to go on from.
// Inside an SPI connection.
void keep_alembic_in_step(chain::Revision from, chain::Revision to);

} // namespace procrastinate::migrate
