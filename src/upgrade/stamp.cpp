// Recording a revision without running a migration: stamp and adopt; and the refusal to downgrade.
#include "chain/target.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/change.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/precheck_deferred.hpp"
#include "upgrade/upgrade.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;
using common::Refusal;

// A stamp writes no rows but the history's; without a history there are none to miss.
Isolation isolation_for(const InstallationState &state)
{
    return state.has_history ? Isolation::read_committed : Isolation::any;
}

void record_revision(const Installation &installation, const InstallationState &state,
                     std::string_view event, Revision revision, TimestampTz started)
{
    require_syncable(revision);
    require_no_deferred_triggers(installation, catalog::history_table);
    lock_tables(installation, Tables::history);
    if (!state.has_history)
        create_history(installation);
    // Tables without a history have no known revision: the first row counts from base.
    record_change(installation, event, state.current.revision.value_or(chain::base), revision,
                  started);
}

// Runs `body(change)` as the installation's owner, inside an SPI connection and under a search_path
// of the server's own.
template <typename Body>
Revision changing(const Installation &installation, const char *command, Body body)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            Change change(installation, command);
            change.enter();
            return change.as_owner([&] { return body(change); });
        });
    });
}

} // namespace

Revision stamp(const Installation &installation, std::string_view target, Verify verify)
{
    return changing(installation, "procrastinate_stamp()", [&](const Change &change) {
        const TimestampTz started = server::now();
        const InstallationState state = change.read_state();
        const Revision revision = chain::resolve_target(target, state.current);
        change.prepare(isolation_for(state));
        if (verify == Verify::yes)
            require_match(installation, revision);
        record_revision(installation, state, event::stamp, revision, started);
        return revision;
    });
}

Revision adopt(const Installation &installation)
{
    return changing(installation, "procrastinate_adopt()", [&](const Change &change) {
        const TimestampTz started = server::now();
        const InstallationState state = change.read_state();
        change.prepare(isolation_for(state));
        const Revision revision = require_exact_match(installation);
        warn_of_external_versions(installation, revision);
        const bool is_recorded = state.last && state.current.revision == revision;
        server::notice(catalog::in_schema(installation) + " matches " +
                       std::string(chain::name(revision)) +
                       (is_recorded ? ", as its history says: nothing to do" : ""));
        if (!is_recorded)
            record_revision(installation, state, event::adopt, revision, started);
        return revision;
    });
}

void downgrade()
{
    throw Refusal{common::sqlstate::feature_not_supported, "downgrade is not supported",
                  "Procrastinate has no downgrade migrations, and none could restore data that has "
                  "been dropped.",
                  "Restore a backup, or deploy an earlier release. To see which release expects "
                  "which revision: SELECT * FROM " +
                      common::own_function("procrastinate_history") + "();"};
}

} // namespace procrastinate::upgrade
