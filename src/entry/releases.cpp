// Functions about releases and the revisions they work on: procrastinate_releases, _supports,
// _route.
#include "chain/route.hpp"
#include "entry/reading.hpp"
#include "entry/schema_argument.hpp"
#include "entry/target_argument.hpp"
#include "server/arguments.hpp"
#include "server/rows.hpp"
#include "upgrade/drift_findings.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/notices.hpp"

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace upgrade = procrastinate::upgrade;
namespace server = procrastinate::server;
using procrastinate::entry::reading;
using procrastinate::entry::release_argument;
using procrastinate::entry::schema_argument;

// What to do first if the release does not work on the schema; empty if it does.
std::string advice_for(const catalog::Installation &installation, const chain::Release &release,
                       const upgrade::InstallationState &state)
{
    const chain::Revision revision = *state.current.revision;
    if (chain::supports(release, revision))
        return upgrade::advice_for_drift(upgrade::find_drift(installation, state), installation);
    std::string advice = chain::advice(release, revision, installation.quoted_text);
    if (revision == chain::base)
    {
        const auto other = catalog::elsewhere(installation);
        return other ? other->hint(advice) : advice;
    }
    // Differences may stop the migrations.
    const std::string first =
        revision < release.works_from
            ? upgrade::advice_for_drift(upgrade::find_drift(installation, state), installation)
            : std::string();
    return first.empty() ? advice : first + "\nThen: " + advice;
}

} // namespace

// () → release, revision, works_from, works_to, newest first
ENTRY_POINT(procrastinate_releases)
{
    server::RowSet rows(fcinfo);
    const std::span<const chain::Release> releases = chain::releases();
    for (auto release = releases.rbegin(); release != releases.rend(); ++release)
        rows.add(server::Row()
                     .text(release->name)
                     .text(chain::name(release->head))
                     .text(chain::name(release->works_from))
                     .text(chain::name(release->works_to)));
    return server::RowSet::result();
}

// (release text, schema) → supported, revision, works_from, works_to, advice
ENTRY_POINT(procrastinate_supports)
{
    const server::Arguments arguments(fcinfo);
    const chain::Release &release = release_argument(arguments, 0, "release");
    const auto located = catalog::locate_to_list(schema_argument(arguments, 1));
    server::RowSet rows(fcinfo);
    if (!located)
        return server::RowSet::result();
    const catalog::Installation &installation = *located;
    return reading(installation, [&] {
        const upgrade::InstallationState state = upgrade::read_compared_state(installation);
        upgrade::warn_of_unknown_history(state, installation);
        upgrade::notice_if_by_catalog(state, installation);
        if (state.is_unknown_history())
        {
            rows.add(server::Row()
                         .boolean(std::nullopt)
                         .text(state.recorded)
                         .text(chain::name(release.works_from))
                         .text(chain::name(release.works_to))
                         .text(std::nullopt));
            return server::RowSet::result();
        }
        const chain::Revision revision = upgrade::require_known(state, installation);
        upgrade::require_not_partitioned(installation);
        const std::string advice = advice_for(installation, release, state);
        rows.add(server::Row()
                     .boolean(advice.empty())
                     .text(chain::name(revision))
                     .text(chain::name(release.works_from))
                     .text(chain::name(release.works_to))
                     .text_or_null(advice));
        return server::RowSet::result();
    });
}

// (from_release text, to_release text, schema) → step, action, target, revision,
// reason
ENTRY_POINT(procrastinate_route)
{
    const server::Arguments arguments(fcinfo);
    const chain::Release &from = release_argument(arguments, 0, "from_release");
    const chain::Release &to = release_argument(arguments, 1, "to_release");
    const catalog::Installation installation = catalog::locate(schema_argument(arguments, 2));
    server::RowSet rows(fcinfo);
    return reading(installation, [&] {
        const upgrade::InstallationState state = upgrade::read_current_state(installation);
        upgrade::warn_of_unknown_history(state, installation);
        upgrade::notice_if_by_catalog(state, installation);
        if (state.is_unknown_history())
            return server::RowSet::result();
        // Without an installation here, the route starts at the revision that the release expects.
        const chain::Revision revision = upgrade::require_known(state, installation);
        int number = 0;
        for (const chain::RouteStep &step :
             chain::route(from, to, revision == chain::base ? from.head : revision))
            rows.add(server::Row()
                         .datum(Int32GetDatum(++number))
                         .text(step.action == chain::RouteStep::Action::apply ? "apply" : "deploy")
                         .text(step.target)
                         .text(chain::name(step.revision))
                         .text(step.reason));
        return server::RowSet::result();
    });
}
