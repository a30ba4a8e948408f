#include "upgrade/adoption.hpp"

#include "catalog/structure.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/precheck_deferred.hpp"
#include "upgrade/unknown_objects.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

// A history with rows of this database. Unless the catalog contradicts it, it stays as it is,
// whatever the differences are.
chain::Revision confirm(const Change &change, const catalog::Installation &installation,
                        const InstallationState &state)
{
    const InstallationState now = compare_with_catalog(state, installation, WhileLocked::waits);
    if (!state.recorded_revision || state.recorded_revision == chain::base || now.is_by_catalog)
        return adopt(change, installation, state);
    const chain::Revision revision = require_known(now, installation);
    change.prepare(isolation_to_record(state));
    notice_nothing_to_do(installation, revision, revision, chain::name(revision));
    return revision;
}

// The revision that the catalog matches exactly, if the rows of the other database cannot have led
// to it. In the middle of a migration they can have led to the revision after it.
std::optional<chain::Revision> revision_by_catalog(const catalog::Installation &installation,
                                                   const InstallationState &copied)
{
    InstallationState ended = copied;
    ended.under_way.reset();
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto found = contradicting_revision(ended, server::span_of(structure));
    return copied.under_way && found == copied.under_way->revision ? std::nullopt : found;
}

chain::Revision record_by_catalog(const catalog::Installation &installation,
                                  const InstallationState &state, chain::Revision revision,
                                  TimestampTz started)
{
    require_no_unknown_objects(installation);
    server::notice(by_catalog_text(state, installation, revision) + ", which is recorded now");
    record_revision(installation, state, event::adopt, revision, started);
    // After the record, which brings the tables that the settings name into step.
    warn_after_adoption(installation, revision);
    return revision;
}

} // namespace

void record_revision(const catalog::Installation &installation, const InstallationState &state,
                     std::string_view event, chain::Revision revision, TimestampTz started)
{
    require_syncable(revision);
    require_no_deferred_triggers(installation, catalog::history_table);
    lock_tables(installation, Tables::history);
    if (!state.has_history)
        create_history(installation);
    // Tables without a history have no known revision: the first row counts from base.
    record_change(installation, event, state.recorded_revision.value_or(chain::base), revision,
                  started);
}

// It writes no rows but the history's; without a history there are none to miss.
Isolation isolation_to_record(const InstallationState &state)
{
    return state.has_history ? Isolation::read_committed : Isolation::any;
}

chain::Revision adopt(const Change &change, const catalog::Installation &installation,
                      const InstallationState &state)
{
    const TimestampTz started = server::now();
    change.prepare(isolation_to_record(state));
    const chain::Revision revision = require_exact_match(installation, state);
    if (revision == chain::base)
    {
        server::notice(catalog::in_schema(installation) +
                       " holds none of Procrastinate's objects: nothing to adopt");
        return revision;
    }
    if (state.recorded_revision != revision)
        return record_by_catalog(installation, state, revision, started);
    server::notice(catalog::in_schema(installation) + " matches " +
                   std::string(chain::name(revision)) + ", as its history says: nothing to do");
    warn_after_adoption(installation, revision);
    return revision;
}

chain::Revision adopt_copy(const Change &change, const catalog::Installation &installation,
                           const InstallationState &state)
{
    const TimestampTz started = server::now();
    if (!state.is_foreign())
        return confirm(change, installation, state);
    InstallationState copied = state_after(*state.foreign);
    const chain::Revision revision = require_known(copied, installation);
    if (revision == chain::base && !copied.under_way)
        return adopt(change, installation, state); // tables may be there all the same
    change.prepare(isolation_to_record(state));
    require_tables(installation, revision);
    if (const auto found = revision_by_catalog(installation, copied))
        return record_by_catalog(installation, state, *found, started);
    require_no_unknown_objects(installation);
    // A step leads to no other revision.
    if (!copied.under_way)
        copied.recorded_revision = chain::base;
    record_revision(installation, copied,
                    copied.under_way ? std::string_view(state.foreign->name) : event::adopt,
                    revision, started);
    return revision;
}

} // namespace procrastinate::upgrade
