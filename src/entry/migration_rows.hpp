// Rows of migrations: the columns that procrastinate_history(), _history_details(), _pending(),
// _heads() and _show() return.
#pragma once

#include "server/rows.hpp"
#include "upgrade/applied_migrations.hpp"

namespace procrastinate::entry
{

// The columns of each function for one migration.
server::Row history_row(const upgrade::AppliedMigrations &applied,
                        const chain::Migration &migration);
server::Row pending_row(const chain::Migration &migration);
// Of procrastinate_history_details() and _heads(), and the first ones of _show().
server::Row migration_row(const upgrade::AppliedMigrations &applied,
                          const chain::Migration &migration);

// The event's duration as an interval, or NULL. Lives as long as the event.
std::optional<Datum> duration_of(const upgrade::Event &event);

} // namespace procrastinate::entry
