#include "upgrade/applied_migrations.hpp"

#include "upgrade/current_state.hpp"

namespace procrastinate::upgrade
{

using chain::Revision;

AppliedMigrations::AppliedMigrations(const catalog::Installation &installation)
    : state_(read_current_state(installation)), applied_by_(chain::migrations().size() + 1)
{
    (void)visit_history(installation, Events::own, EventOrder::oldest_first,
                        [this](const Event &event) {
                            replay(event);
                            return true;
                        });
}

// A stamp may go back: what it leaves behind is not applied any more.
void AppliedMigrations::replay(const Event &event)
{
    const std::optional<Revision> from = recorded_revision(event.from);
    const std::optional<Revision> to = recorded_revision(event.to);
    if (!from || !to)
        return;
    for (Revision revision = *from + 1; revision <= *to; ++revision)
    {
        std::optional<Event> &applied = applied_by_[static_cast<std::size_t>(revision)];
        applied = event;
        if (*to != *from + 1)
            applied->duration = std::nullopt;
    }
    for (Revision revision = *to + 1; revision <= *from; ++revision)
        applied_by_[static_cast<std::size_t>(revision)] = std::nullopt;
}

std::optional<bool> AppliedMigrations::is_current(Revision revision) const
{
    const std::optional<Revision> current = state_.current.revision;
    return current ? std::optional(revision == *current) : std::nullopt;
}

std::optional<bool> AppliedMigrations::is_applied(Revision revision) const
{
    const std::optional<Revision> current = state_.current.revision;
    return current ? std::optional(revision <= *current) : std::nullopt;
}

const Event *AppliedMigrations::event_of(Revision revision) const
{
    const auto index = static_cast<std::size_t>(revision);
    if (!is_applied(revision).value_or(false) || index >= applied_by_.size() || !applied_by_[index])
        return nullptr;
    return &*applied_by_[index];
}

} // namespace procrastinate::upgrade
