#include "chain/target.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/adoption.hpp"
#include "upgrade/history.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/requirements.hpp"
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

// Appends what `decide(state)` says, unless that is nothing.
template <typename Decide>
void record(const Installation &installation, const char *command, std::string_view event,
            Decide decide)
{
    spi::connected([&] {
        server::with_search_path(nullptr, [&] {
            require_changeable(command);
            require_sight(installation);
            lock(installation);
            lock_schema_name(installation);
            const TimestampTz started = server::call([] { return GetCurrentTimestamp(); });
            const State state = read_state(installation);
            if (state.is_unknown_history())
                (void)require_known(state, installation);
            require_finished(state, installation);
            require_current_rows(state.has_history);
            const std::optional<Revision> revision = decide(state);
            if (!revision)
                return;
            require_syncable(*revision);
            lock_tables(installation, Tables::history);
            if (!state.has_history)
                create_history(installation);
            // Tables without a history: what came before is nobody's knowledge, and counts from base.
            append(installation, event, state.current.revision.value_or(chain::base), *revision,
                   started);
        });
    });
}

} // namespace

Revision stamp(const Installation &installation, std::string_view target, Verify verify)
{
    Revision revision = chain::base;
    record(installation, "procrastinate_stamp()", event::stamp, [&](const State &state) {
        revision = chain::resolve_target(target, state.current);
        require_privileges(installation);
        if (verify == Verify::yes)
            require_same(installation, revision);
        return std::optional(revision);
    });
    return revision;
}

Revision adopt(const Installation &installation)
{
    Revision revision = chain::base;
    record(installation, "procrastinate_adopt()", event::adopt, [&](const State &state) {
        require_privileges(installation);
        revision = require_exact(installation);
        warn_of_external_versions(installation, revision);
        const bool is_known = state.last && state.current.revision == revision;
        server::notice("schema \"" + std::string(installation.name) + "\" is at " +
                       std::string(chain::name(revision)) +
                       (is_known ? ", as its history says: nothing to do" : ", by what it holds"));
        return is_known ? std::nullopt : std::optional(revision);
    });
    return revision;
}

void downgrade()
{
    throw Refusal{common::sqlstate::feature_not_supported, "downgrade is not supported",
                  "Procrastinate has no migrations that go back, and none could bring back what "
                  "has been dropped.",
                  "Restore a backup, or deploy the release before: procrastinate_history() lists "
                  "which release expects "
                  "which revision."};
}

} // namespace procrastinate::upgrade
