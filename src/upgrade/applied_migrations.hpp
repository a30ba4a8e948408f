// Migrations that are applied to an installation, and the event of the history that applied each.
#pragma once

#include "upgrade/installation_state.hpp"

#include <optional>
#include <vector>

namespace procrastinate::upgrade
{

class AppliedMigrations
{
  public:
    // Without an installation: no migration is applied.
    AppliedMigrations() = default;

    // Reads the history, inside an SPI connection and under a search_path of the server's own.
    // Throws as visit_history() does.
    explicit AppliedMigrations(const catalog::Installation &installation);

    const InstallationState &state() const { return state_; }

    // Empty if the current revision is unknown: tables without a history, or a newer history.
    std::optional<bool> is_current(chain::Revision revision) const;
    std::optional<bool> is_applied(chain::Revision revision) const;

    // The event that applied the migration; null if it is not applied, or if no row says so.
    // Without a duration if the event applied several migrations.
    const Event *event_of(chain::Revision revision) const;

  private:
    void replay(const Event &event);

    InstallationState state_;
    std::vector<std::optional<Event>> applied_by_; // by revision; empty: not applied
};

} // namespace procrastinate::upgrade
