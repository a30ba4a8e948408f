// Tables of Alembic and Django kept in step with a change, in the same transaction and in those tools'
// own ids.
#pragma once

#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// Of the tables that the settings procrastinate_migrate.alembic_version and .django_migrations name,
// before anything is done: throws Refusal 22023 where they or the names of Django's migrations up to
// `target` are none, 42501 or PM010 where to write could run code of another role. Locks the tables.
void require_syncable(chain::Revision target);

// Alembic: the row of `from` becomes one of `to`. Django: the rows between the two are added or taken.
// No other row is touched, and nothing but a warning is done where the table is not at `from`. Inside an
// SPI connection.
void sync_version_tables(chain::Revision from, chain::Revision to);

} // namespace procrastinate::upgrade
