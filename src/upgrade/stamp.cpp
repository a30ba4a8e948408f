// Recording a revision without running a migration: stamp and adopt; and the refusal to downgrade.
#include "chain/target.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/pause.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/adoption.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/leftovers.hpp"
#include "upgrade/unknown_objects.hpp"
#include "upgrade/upgrade.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Revision;
using common::Refusal;

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

// From base the chain would create what is there.
void require_no_tables(const Installation &installation)
{
    require_not_moved(installation);
    if (!has_tables(installation))
        return;
    throw Refusal{common::sqlstate::catalog_contradicts,
                  catalog::in_schema(installation) + " holds Procrastinate's tables",
                  "Base means that nothing is installed. No upgrade could go on from there.",
                  jobs_table_of(installation) == JobsTable::none
                      ? advice_for_leftovers(installation)
                      : "To see the revisions that it may be at: SELECT * FROM " +
                            common::own_function("procrastinate_detect") + "(" +
                            installation.quoted_text + ");"};
}

} // namespace

Revision stamp(const Installation &installation, std::string_view target, Verify verify)
{
    return changing(installation, "procrastinate_stamp()", [&](const Change &change) {
        const TimestampTz started = server::now();
        const InstallationState state =
            compare_with_catalog(change.read_state(), installation, WhileLocked::waits);
        const Revision revision = chain::resolve_target(target, state.current);
        change.prepare(isolation_to_record(state));
        require_no_other_relation(installation);
        if (revision == chain::base)
            require_no_tables(installation);
        if (verify == Verify::yes)
        {
            require_match(installation, revision);
            require_no_unknown_objects(installation);
        }
        record_revision(installation, state, event::stamp, revision, started);
        // Where the catalog is exactly another one's, every call goes by it.
        if (verify == Verify::no)
            notice_if_by_catalog(
                compare_with_catalog(change.read_state(), installation, WhileLocked::waits),
                installation);
        return revision;
    });
}

Revision adopt(const Installation &installation, Evidence evidence)
{
    return changing(installation, "procrastinate_adopt()", [&](const Change &change) {
        const InstallationState state = change.read_state();
        return evidence == Evidence::copied_history ? adopt_copy(change, installation, state)
                                                    : adopt(change, installation, state);
    });
}

void downgrade()
{
    throw Refusal{common::sqlstate::feature_not_supported, "downgrade is not supported",
                  "Procrastinate has no downgrade migrations, and none could restore data that has "
                  "been dropped.",
                  "Restore a backup, or deploy an earlier release. To see which release expects "
                  "which revision: SELECT * FROM " +
                      common::own_function("procrastinate_releases") + "();"};
}

} // namespace procrastinate::upgrade
