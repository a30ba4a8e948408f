#include "entry/migration_rows.hpp"

#include "server/messages.hpp"

namespace procrastinate::entry
{

namespace
{

// The first and the last release that expect a revision: "3.4.0 - 3.9.0".
std::string releases_of(chain::Revision revision)
{
    std::string_view first;
    std::string_view last;
    for (const chain::Release &release : chain::releases())
        if (release.head == revision)
        {
            first = first.empty() ? release.name : first;
            last = release.name;
        }
    return first == last ? std::string(first) : std::string(first) + " - " + std::string(last);
}

} // namespace

Record::Record(const catalog::Installation &installation)
{
    const upgrade::History history = upgrade::read_history(installation);
    state_ = upgrade::state_of(installation, history);
    replay(history.events);
}

void Record::replay(std::span<const upgrade::Event> events)
{
    applied_by_.resize(chain::migrations().size() + 1);
    for (const upgrade::Event &event : events)
    {
        const std::optional<chain::Revision> from = upgrade::recorded_revision(event.from);
        const std::optional<chain::Revision> to = upgrade::recorded_revision(event.to);
        if (!from || !to)
            continue;
        for (chain::Revision revision = *from + 1; revision <= *to; ++revision)
        {
            auto &applied = applied_by_[static_cast<std::size_t>(revision)];
            applied = event;
            if (*to != *from + 1) // the duration is that of several migrations
                applied->duration = std::nullopt;
        }
        for (chain::Revision revision = *to + 1; revision <= *from; ++revision)
            applied_by_[static_cast<std::size_t>(revision)] = std::nullopt;
    }
}

server::Row Record::row(const chain::Migration &migration) const
{
    const std::optional<chain::Revision> current = state_.current.revision;
    const auto index = static_cast<std::size_t>(migration.number);
    const upgrade::Event *const event =
        index < applied_by_.size() && applied_by_[index] ? &*applied_by_[index] : nullptr;
    // Unknown if there are tables without a history.
    const std::optional<bool> is_applied =
        current ? std::optional(migration.number <= *current) : std::nullopt;
    const std::optional<bool> is_current =
        current ? std::optional(migration.number == *current) : std::nullopt;
    const bool is_recorded = is_applied.value_or(false) && event != nullptr;

    server::Row row;
    row.text(migration.revision)
        .text_or_null(migration.number == 1 ? std::string_view()
                                            : chain::name(migration.number - 1))
        .text(migration.file)
        .text(migration.title)
        .text_or_null(chain::phase_name(migration.phase))
        .text_or_null(releases_of(migration.number))
        .boolean(migration.number == chain::head())
        .boolean(is_current)
        .boolean(is_applied)
        .datum(is_recorded ? std::optional(TimestampTzGetDatum(event->applied_at)) : std::nullopt)
        .text(is_recorded ? std::optional(event->applied_by) : std::nullopt)
        .datum(is_recorded ? duration_of(*event) : std::nullopt);
    return row;
}

std::optional<Datum> duration_of(const upgrade::Event &event)
{
    return event.duration ? std::optional(IntervalPGetDatum(&*event.duration)) : std::nullopt;
}

std::string under_way(const upgrade::InstallationState &state)
{
    if (state.unknown_step)
        return "; step " + chain::excerpt(*state.unknown_step) + " is under way";
    if (!state.under_way)
        return {};
    const chain::Revision revision = state.under_way->revision;
    const int number = state.under_way->number;
    const std::string text = "; " + std::string(chain::name(revision)) + " is under way, ";
    const std::string count = std::to_string(chain::steps(revision).size());
    return number == 0 ? text + "none of its " + count + " steps is done"
                       : text + "step " + std::to_string(number) + " of " + count + " is done";
}

void warn_of_unknown(const upgrade::InstallationState &state,
                     const catalog::Installation &installation)
{
    if (!state.is_unknown_history())
        return;
    const common::Refusal refusal = upgrade::unknown_history(state, installation);
    server::warning(refusal.message, refusal.detail, refusal.hint);
}

} // namespace procrastinate::entry
