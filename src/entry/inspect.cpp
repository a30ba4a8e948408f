// Functions that compare a schema's catalog with the revisions: procrastinate_detect, _check,
// _require.
#include "catalog/grants.hpp"
#include "catalog/repair_statements.hpp"
#include "catalog/structure.hpp"
#include "chain/target.hpp"
#include "common/refusal.hpp"
#include "entry/reading.hpp"
#include "entry/schema_argument.hpp"
#include "entry/target_argument.hpp"
#include "server/arguments.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/rows.hpp"
#include "upgrade/catalog_match.hpp"
#include "upgrade/drops_to_base.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/require.hpp"
#include "upgrade/unknown_objects.hpp"

namespace
{

namespace catalog = procrastinate::catalog;
namespace chain = procrastinate::chain;
namespace upgrade = procrastinate::upgrade;
namespace server = procrastinate::server;
using procrastinate::entry::comparing;
using procrastinate::entry::schema_argument;
using procrastinate::entry::target_argument;

std::optional<Datum> integer(int value) { return Int32GetDatum(value); }

// A row of procrastinate_check().
void add_difference(server::RowSet &rows, const catalog::Difference &difference,
                    std::string_view repair)
{
    rows.add(server::Row()
                 .text(chain::kind_name(difference.kind))
                 .text(difference.object)
                 .text(catalog::name_of(difference.problem))
                 .text_or_null(difference.expected)
                 .text_or_null(difference.actual)
                 .text(catalog::name_of(difference.severity))
                 .text_or_null(repair));
}

} // namespace

// (schema) → revision, exact, missing, extra, altered; best first
ENTRY_POINT(procrastinate_detect)
{
    const server::Arguments arguments(fcinfo);
    const auto located = catalog::locate_to_list(schema_argument(arguments, 0));
    server::RowSet rows(fcinfo);
    if (!located)
        return server::RowSet::result();
    const catalog::Installation &installation = *located;
    return comparing(installation, [&] {
        server::ContextResource memory;
        const auto structure = catalog::structure(installation, memory);
        upgrade::warn_of_unknown_objects(installation, server::span_of(structure));
        const std::vector<catalog::RevisionMatch> matches =
            catalog::closest_revisions(server::span_of(structure), server::check_interrupts);
        if (matches.empty())
            upgrade::notice_no_objects(installation);
        for (const catalog::RevisionMatch &match : matches)
            rows.add(server::Row()
                         .text(chain::name(match.revision))
                         .boolean(match.is_exact())
                         .datum(integer(match.missing))
                         .datum(integer(match.extra))
                         .datum(integer(match.altered)));
        return server::RowSet::result();
    });
}

// (revision text, schema) → kind, object, problem, expected, actual, severity, repair;
// worst first; of base in the order of the DROPs
ENTRY_POINT(procrastinate_check)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "revision");
    const catalog::Installation installation = catalog::locate(schema_argument(arguments, 1));
    server::RowSet rows(fcinfo);
    return comparing(installation, [&] {
        server::ContextResource memory;
        const upgrade::InstallationState state = upgrade::read_state(installation);
        upgrade::warn_of_unknown_history(state, installation);
        if (state.is_unknown_history() && target == "current")
            throw upgrade::unknown_history(state, installation);
        if (!state.last && target == "current")
            upgrade::require_no_other_relation(installation);
        const auto structure = catalog::structure(installation, memory);
        const chain::Revision revision = chain::resolve_target(
            target, upgrade::recorded_or_nearest(installation, state, server::span_of(structure)));
        if (revision == chain::base && catalog::is_empty(server::span_of(structure)) &&
            target != "base")
            throw upgrade::nothing_installed(installation);
        if (revision == chain::base)
        {
            upgrade::require_not_moved(installation);
            const std::vector<upgrade::Repair> drops =
                upgrade::drops_to_base(installation, server::span_of(structure));
            if (drops.empty())
                upgrade::notice_no_objects(installation);
            for (const upgrade::Repair &drop : drops)
                add_difference(rows, drop.difference, drop.statement);
            return server::RowSet::result();
        }
        const bool is_moved = upgrade::warn_if_moved(installation);
        std::vector<catalog::Difference> differences =
            catalog::Comparison(server::span_of(structure)).with(revision);
        catalog::add_lacking_grants(differences, installation, server::span_of(structure),
                                    revision);
        const std::vector<std::string> repairs =
            catalog::repair_statements(differences, revision, installation.quoted);
        for (std::size_t i = 0; i < differences.size(); ++i)
            add_difference(rows, differences[i], is_moved ? std::string() : repairs[i]);
        return server::RowSet::result();
    });
}

// (target text, drift text, schema) → the current revision
ENTRY_POINT(procrastinate_require)
{
    const server::Arguments arguments(fcinfo);
    const std::string_view target = target_argument(arguments, 0, "target");
    const upgrade::Drift drift = upgrade::drift_named(arguments.required_text(1, "drift"));
    const catalog::Installation installation = catalog::locate(schema_argument(arguments, 2));
    chain::Revision current = chain::base;
    comparing(installation, [&] {
        current = upgrade::require(installation, target, drift);
        return Datum(0);
    });
    return server::text_result(chain::name(current));
}
