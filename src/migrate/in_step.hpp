// Alembic's table kept in step with a change, in the same transaction and in Alembic's own ids.
#pragma once

#include "chain/chain.hpp"

namespace procrastinate::migrate
{

// Where procrastinate_migrate.alembic_version names a table, before anything is done: throws Refusal
// 22023, or PM010 where to write it could run code of another role. Locks it.
void require_alembic_table();

// The row of `from`, in the ids that procrastinate_migrate.alembic_ids says, becomes one of `to`; no
// other row is touched. Warns where there is none. Inside an SPI connection.
void keep_alembic_in_step(chain::Revision from, chain::Revision to);

} // namespace procrastinate::migrate
