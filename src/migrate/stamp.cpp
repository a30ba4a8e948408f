#include "chain/refusal.hpp"
#include "chain/target.hpp"
#include "migrate/history.hpp"
#include "migrate/lock.hpp"
#include "migrate/preflight.hpp"
#include "migrate/rights.hpp"
#include "migrate/upgrade.hpp"
#include "server/settings.hpp"
#include "server/spi.hpp"

namespace procrastinate::migrate
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Refusal;
using chain::Revision;

Revision stamp(const Installation &installation, std::string_view target, Verify verify)
{
    return spi::connected([&] {
        return server::with_search_path(nullptr, [&] {
            require_changeable("procrastinate_stamp()");
            require_sight(installation);
            lock(installation);
            const TimestampTz started = server::call([] { return GetCurrentTimestamp(); });
            const State state = read_state(installation);
            if (state.is_unknown_history())
                (void)require_known(state, installation);
            require_current_rows(state.has_history);
            const Revision revision = chain::resolve_target(target, state.standing);
            require_rights(installation);
            if (verify == Verify::yes)
                require_same(installation, revision);
            lock_tables(installation, Tables::history);
            if (!state.has_history)
                create_history(installation);
            // Tables without a history: what came before is nobody's knowledge, and counts from base.
            append(installation, event::stamp, state.standing.revision.value_or(chain::base),
                   revision, started);
            return revision;
        });
    });
}

void downgrade()
{
    throw Refusal{chain::sqlstate::feature_not_supported, "downgrade is not supported",
                  "Procrastinate has no migrations that go back, and none could bring back what "
                  "has been dropped.",
                  "Restore a backup, or deploy the release before: procrastinate_history() lists "
                  "which release expects "
                  "which revision."};
}

} // namespace procrastinate::migrate
