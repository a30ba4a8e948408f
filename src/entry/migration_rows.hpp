// Rows of migrations: the columns that procrastinate_history(), _pending(), _heads() and _show()
// return.
#pragma once

#include "server/rows.hpp"
#include "upgrade/installation_state.hpp"

#include <vector>

namespace procrastinate::entry
{

// The migrations as an installation's history shows them.
class Record
{
  public:
    // Without an installation: no migration is applied.
    Record() = default;

    // Reads the history, inside an SPI connection and under a search_path of the server's own. Throws
    // as upgrade::read_history() does.
    explicit Record(const catalog::Installation &installation);

    const upgrade::InstallationState &state() const { return state_; }

    // The columns of procrastinate_history() for one migration.
    server::Row row(const chain::Migration &migration) const;

  private:
    void replay(std::span<const upgrade::Event> events);

    upgrade::InstallationState state_;
    std::vector<std::optional<upgrade::Event>> applied_by_; // by revision; empty: not applied
};

// The event's duration as an interval, or NULL. Lives as long as the event.
std::optional<Datum> duration_of(const upgrade::Event &event);

// "; 0024 is under way, step 3 of 8 is done", or nothing.
std::string under_way(const upgrade::InstallationState &state);

// WARNING if the installation's history ends at a revision or step that this version does not know.
void warn_of_unknown(const upgrade::InstallationState &state,
                     const catalog::Installation &installation);

} // namespace procrastinate::entry
