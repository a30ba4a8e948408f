// Sync of Alembic's and Django's version tables with a change, in the same transaction and in those
// tools' own ids.
#pragma once

#include "chain/chain.hpp"

namespace procrastinate::upgrade
{

// Checks the tables that the settings procrastinate_migrate.alembic_version and .django_migrations
// name, before the change's first write. Locks them (open_version_table). Throws Refusal 22023 if a
// setting names no table, or if procrastinate_migrate.django_names lacks a name up to `target`;
// 42501 and PM010 as open_version_table() does. Inside an SPI connection.
void require_syncable(chain::Revision target);

// Alembic: changes the row of `from` to one of `to`. Django: adds or deletes the rows between the
// two. Changes no other row. If the table is not at `from`, it is left as it is, with a WARNING.
// Inside an SPI connection.
void sync_version_tables(chain::Revision from, chain::Revision to);

} // namespace procrastinate::upgrade
