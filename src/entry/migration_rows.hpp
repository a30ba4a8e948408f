// Migrations as rows: what procrastinate_history() and its kin return.
#pragma once

#include "server/rows.hpp"
#include "upgrade/history.hpp"

#include <vector>

namespace procrastinate::entry
{

// What an installation's history says of every migration. Made inside an SPI connection, whose end
// it does not survive.
class Record
{
  public:
    // Of no installation: nothing is applied.
    Record() = default;
    explicit Record(const catalog::Installation &installation);

    const upgrade::State &state() const { return state_; }

    // The columns of procrastinate_history().
    server::Row row(const chain::Migration &migration) const;

  private:
    void replay(std::span<const upgrade::Event> events);

    upgrade::State state_;
    std::vector<std::optional<upgrade::Event>> applied_by_; // by revision; empty: nothing is
};

// "; 0024 is under way, step 3 of 8 is done", or nothing.
std::string under_way(const upgrade::State &state);

// Warns where an installation's history ends at a revision that this version does not know.
void warn_of_unknown(const upgrade::State &state, const catalog::Installation &installation);

} // namespace procrastinate::entry
