// Rows of migrations: the columns that procrastinate_history(), _pending(), _heads() and _show()
// return.
#pragma once

#include "server/rows.hpp"
#include "upgrade/applied_migrations.hpp"

namespace procrastinate::entry
{

// The columns of procrastinate_history() for one migration.
server::Row migration_row(const upgrade::AppliedMigrations &applied,
                          const chain::Migration &migration);

// The event's duration as an interval, or NULL. Lives as long as the event.
std::optional<Datum> duration_of(const upgrade::Event &event);

} // namespace procrastinate::entry
