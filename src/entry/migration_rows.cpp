#include "entry/migration_rows.hpp"

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

std::optional<Datum> applied_at(const upgrade::Event *event)
{
    return event ? std::optional(TimestampTzGetDatum(event->applied_at)) : std::nullopt;
}

} // namespace

server::Row history_row(const upgrade::AppliedMigrations &applied,
                        const chain::Migration &migration)
{
    server::Row row;
    row.text(migration.revision)
        .text(migration.title)
        .boolean(applied.is_applied(migration.number))
        .datum(applied_at(applied.event_of(migration.number)));
    return row;
}

server::Row pending_row(const chain::Migration &migration)
{
    server::Row row;
    row.text(migration.revision)
        .text(migration.title)
        .text_or_null(chain::phase_name(migration.phase))
        .text_or_null(releases_of(migration.number));
    return row;
}

server::Row migration_row(const upgrade::AppliedMigrations &applied,
                          const chain::Migration &migration)
{
    const upgrade::Event *const event = applied.event_of(migration.number);
    server::Row row;
    row.text(migration.revision)
        .text_or_null(migration.number == 1 ? std::string_view()
                                            : chain::name(migration.number - 1))
        .text(migration.file)
        .text(migration.title)
        .text_or_null(chain::phase_name(migration.phase))
        .text_or_null(releases_of(migration.number))
        .boolean(migration.number == chain::head())
        .boolean(applied.is_current(migration.number))
        .boolean(applied.is_applied(migration.number))
        .datum(applied_at(event))
        .text(event ? std::optional(event->applied_by) : std::nullopt)
        .datum(event ? duration_of(*event) : std::nullopt);
    return row;
}

std::optional<Datum> duration_of(const upgrade::Event &event)
{
    return event.duration ? std::optional(IntervalPGetDatum(&*event.duration)) : std::nullopt;
}

} // namespace procrastinate::entry
