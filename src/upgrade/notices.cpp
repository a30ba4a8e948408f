#include "upgrade/notices.hpp"

#include "server/messages.hpp"
#include "server/pause.hpp"

namespace procrastinate::upgrade
{

std::string display_name(chain::Revision revision)
{
    return std::string(chain::name(revision)) + (revision == chain::head() ? " (head)" : "");
}

std::string migration_label(const chain::Migration &migration)
{
    return "migration " + std::string(migration.revision) + " (" + std::string(migration.file) +
           ")";
}

std::string running_upgrade(const chain::Migration &migration)
{
    const chain::Revision from = migration.number - 1;
    return "Running upgrade " +
           (from == chain::base ? std::string() : std::string(chain::name(from)) + " ") + "-> " +
           std::string(migration.revision) + ", Migration: " + std::string(migration.title);
}

std::string time_since(TimestampTz started)
{
    const TimestampTz ended = server::now();
    const long tenths = static_cast<long>((ended - started) / 100);
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

std::string source_text(const InstallationState &state)
{
    if (state.unknown_step)
        return std::string(event::step) + chain::excerpt(*state.unknown_step);
    if (!state.under_way)
        return state.last->name;
    const chain::Revision revision = state.under_way->revision;
    return std::string(chain::name(revision)) + ": " +
           std::to_string(state.under_way->has_completed_step() ? state.under_way->number : 0) +
           " of " + std::to_string(chain::steps(revision).size()) + " done";
}

void warn_of_unknown_history(const InstallationState &state,
                             const catalog::Installation &installation)
{
    if (!state.is_unknown_history())
        return;
    const common::Refusal refusal = unknown_history(state, installation);
    server::warning(refusal.message, refusal.detail, refusal.hint);
}

void notice_nothing_to_do(const catalog::Installation &installation, chain::Revision current,
                          chain::Revision target, std::string_view target_name)
{
    const std::string revision(chain::name(target));
    const std::string past =
        ", past " + revision +
        (target_name == revision ? "" : " (" + chain::excerpt(target_name) + ")");
    server::notice(catalog::in_schema(installation) + " is at " + display_name(current) +
                   (target < current ? past : " already") + ": nothing to do");
}

void notice_if_past(const catalog::Installation &installation, chain::Revision current,
                    chain::Revision target, std::string_view target_name)
{
    if (target < current)
        notice_nothing_to_do(installation, current, target, target_name);
}

void notice_no_objects(const catalog::Installation &installation)
{
    server::notice(catalog::in_schema(installation) + " holds none of Procrastinate's objects");
}

void notice_begin(const chain::Migration &migration) { server::notice(running_upgrade(migration)); }

void notice_end(const chain::Migration &migration, TimestampTz started)
{
    server::notice(std::string(migration.revision) + " took " + time_since(started));
}

} // namespace procrastinate::upgrade
