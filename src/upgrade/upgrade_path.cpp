#include "upgrade/upgrade_path.hpp"

#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "upgrade/requirements.hpp"

namespace procrastinate::upgrade
{

namespace
{

using chain::Revision;
using common::Refusal;

void require_forward(Revision current, Revision target)
{
    if (target >= current)
        return;
    throw Refusal{common::sqlstate::behind_current,
                  "Destination " + std::string(chain::name(target)) +
                      " is not a valid upgrade target from current head(s)",
                  "The schema is at " + in_words(current) + ", which is later.",
                  "There is no downgrade: restore a backup, or deploy a release that works on this "
                  "revision."};
}

} // namespace

UpgradePath plan_upgrade_path(const catalog::Installation &installation, std::string_view target,
                              std::optional<Revision> goal)
{
    const State state = read_state(installation);
    const Revision current = require_known(state, installation);
    require_tables(installation, current);
    const auto began = state.under_way ? std::optional(state.began) : std::nullopt;
    if (goal)
        return {current, *goal, state.has_history, state.under_way, began};
    const Revision resolved = chain::resolve_target(target, state.current);
    require_forward(current, resolved);
    return {current, resolved, state.has_history, state.under_way, began};
}

std::string in_words(Revision revision)
{
    return std::string(chain::name(revision)) + (revision == chain::head() ? " (head)" : "");
}

std::string label_of(const chain::Migration &migration)
{
    return "migration " + std::string(migration.revision) + " (" + std::string(migration.file) +
           ")";
}

std::string time_since(TimestampTz started)
{
    const TimestampTz ended = server::call([] { return GetCurrentTimestamp(); });
    const long tenths = static_cast<long>((ended - started) / 100);
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

void tell_nothing_to_do(const catalog::Installation &installation, Revision revision)
{
    server::notice("schema \"" + std::string(installation.name) + "\" is at " + in_words(revision) +
                   " already: nothing to do");
}

void tell_begin(const chain::Migration &migration)
{
    const Revision from = migration.number - 1;
    server::notice("Running upgrade " +
                   (from == chain::base ? std::string() : std::string(chain::name(from)) + " ") +
                   "-> " + std::string(migration.revision) +
                   ", Migration: " + std::string(migration.title));
}

void tell_end(const chain::Migration &migration, TimestampTz started)
{
    server::notice(std::string(migration.revision) + " took " + time_since(started));
}

} // namespace procrastinate::upgrade
