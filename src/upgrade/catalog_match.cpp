#include "upgrade/catalog_match.hpp"

#include "catalog/repair_statements.hpp"
#include "catalog/structure.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "upgrade/completion.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/external_versions.hpp"
#include "upgrade/jobs_table.hpp"
#include "upgrade/leftovers.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::in_schema;
using catalog::Installation;
using chain::Revision;
using common::Findings;
using common::Refusal;
namespace sqlstate = common::sqlstate;

Findings differences(std::span<const catalog::CatalogObject> structure, Revision revision)
{
    Findings findings;
    for (const catalog::Difference &one : catalog::Comparison(structure).with(revision))
        if (one.is_of_revision)
            findings.add(common::capitalized(catalog::in_words(one)));
    return findings;
}

std::string finding_of(const ExternalVersion &version)
{
    const std::string_view revision = chain::name(version.revision);
    return "Table " + version.table + " says " + version.id +
           (version.id == revision ? "" : ", which is " + std::string(revision));
}

std::string stamp_call(const Installation &installation, Revision revision)
{
    return "SELECT " + common::own_function("procrastinate_stamp") + "('" +
           std::string(chain::name(revision)) + "', verify => false, schema => " +
           installation.quoted_text + ");";
}

// True if objects are there that a migration up to the revision drops or replaces. No repair does
// that.
bool has_older_objects(std::span<const catalog::CatalogObject> structure, Revision revision)
{
    const std::vector<catalog::Difference> differences =
        catalog::Comparison(structure).with(revision);
    return std::any_of(differences.begin(), differences.end(), [](const catalog::Difference &one) {
        return one.left_to != chain::base ||
               (one.problem == catalog::Problem::extra && one.is_of_revision);
    });
}

std::string advice_to_complete(const Installation &installation, Revision revision)
{
    return "Objects of later migrations are there. To see what would complete " +
           std::string(chain::name(revision)) + ": " + repair_call(installation, revision) + ");";
}

// What the user can do about a schema that matches no revision exactly: for each of the nearest the
// repair, or where that has nothing to do the differences; and the stamp, if migrations can go on
// from there.
std::string advice_for_inexact(const Installation &installation, const InstallationState &state,
                               std::span<const catalog::CatalogObject> structure,
                               std::span<const catalog::RevisionMatch> nearest)
{
    const Revision first = nearest.front().revision;
    // From base no upgrade could go on either: it would create what is there. And without a jobs
    // table none could go on from a later revision.
    if (first == chain::base || jobs_table_of(installation) == JobsTable::none)
        return advice_for_leftovers(installation);
    // A repair leads to no other revision than the history's.
    if (state.recorded_revision && *state.recorded_revision != first)
        return "To record " + std::string(chain::name(first)) + ": " +
               stamp_call(installation, first) +
               "\nTo see the differences from it: " + check_call(installation, first);
    if (std::string beyond = advice_for_later_objects(installation, structure, first);
        !beyond.empty())
        return beyond;
    const catalog::Comparison comparison(structure);
    std::string advice;
    for (const catalog::RevisionMatch &match : nearest)
    {
        const std::string revision(chain::name(match.revision));
        const bool is_repaired =
            catalog::can_repair(comparison.with(match.revision), match.revision);
        if (nearest.size() == 1 || !is_repaired)
            advice += "To see the differences from " + revision + ": " +
                      check_call(installation, match.revision) + "\n";
        if (is_repaired)
            advice += "To repair what can be repaired" +
                      (nearest.size() == 1 ? "" : ", if it is " + revision) + ": " +
                      repair_call(installation, match.revision) + ", dry_run => false);\n";
    }
    return advice + "To record " + std::string(chain::name(first)) +
           " without repair: " + stamp_call(installation, first) + advice_on_rows(first - 1, first);
}

[[noreturn]] void refuse_inexact(const Installation &installation, const InstallationState &state,
                                 std::span<const catalog::CatalogObject> structure)
{
    const std::vector<catalog::RevisionMatch> nearest =
        catalog::nearest_revisions(structure, server::check_interrupts);
    const Revision first = nearest.front().revision;
    const int count = nearest.front().differences();
    const std::string differ =
        std::to_string(count) + (count == 1 ? " difference" : " differences");
    Findings external_versions;
    for (const ExternalVersion &version : read_external_versions(installation))
        external_versions.add(finding_of(version));
    const std::string copy = state.is_foreign() ? hint_of_copy(installation) : std::string();
    throw Refusal{
        sqlstate::catalog_contradicts, in_schema(installation) + " matches no revision exactly",
        (nearest.size() == 1 ? "The nearest is " + names_of(nearest) + ", with " + differ + ":\n"
                             : "Equally near are " + names_of(nearest) + ". From " +
                                   std::string(chain::name(first)) + " it has " + differ + ":\n") +
            differences(structure, first).text() + (external_versions.any() ? "\n" : "") +
            external_versions.text(),
        copy + advice_for_inexact(installation, state, structure, nearest)};
}

} // namespace

Revision require_exact_match(const Installation &installation, const InstallationState &state)
{
    require_tables(installation, state.recorded_revision.value_or(chain::base));
    if (state.is_foreign_step())
        throw foreign_history(state, installation);
    if (jobs_table_of(installation) == JobsTable::none && has_tables(installation))
        throw leftovers(installation, names_taken(installation, {}, chain::base, chain::head()));
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto objects = server::span_of(structure);
    const std::vector<catalog::RevisionMatch> matches =
        catalog::closest_revisions(objects, server::check_interrupts);
    if (matches.empty())
        return chain::base;
    if (!matches.front().is_exact())
        refuse_inexact(installation, state, objects);
    return matches.front().revision;
}

void require_match(const Installation &installation, Revision revision)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto objects = server::span_of(structure);
    const Findings findings = differences(objects, revision);
    if (!findings.any())
        return;
    const std::vector<catalog::RevisionMatch> matches =
        catalog::closest_revisions(objects, server::check_interrupts);
    const std::string schema = "schema => " + installation.quoted_text + ");";
    std::string advice = "To see all differences: " + check_call(installation, revision);
    if (matches.empty())
        advice = "To install it: SELECT " + common::own_function("procrastinate_upgrade") + "('" +
                 std::string(chain::name(revision)) + "', " + schema;
    else if (matches.front().is_exact()) // the catalog decides: another record would not last
        advice += "\nTo record " + std::string(chain::name(matches.front().revision)) +
                  ", which it matches: SELECT " + common::own_function("procrastinate_adopt") +
                  "(" + schema;
    else
        advice += "\nTo record it without this check: " + stamp_call(installation, revision);
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) + " is not at " + std::string(chain::name(revision)),
                  findings.text(), advice};
}

chain::CurrentRevision recorded_or_exact(const Installation &installation,
                                         const InstallationState &state,
                                         std::span<const catalog::CatalogObject> structure)
{
    InstallationState now = state;
    if (const auto revision = contradicting_revision(state, structure))
    {
        go_by_catalog(now, installation, *revision);
        notice_if_by_catalog(now, installation);
    }
    return now.current;
}

chain::CurrentRevision recorded_or_nearest(const Installation &installation,
                                           const InstallationState &state,
                                           std::span<const catalog::CatalogObject> structure)
{
    chain::CurrentRevision current = recorded_or_exact(installation, state, structure);
    if (current.revision || state.is_unknown_history())
        return current;
    const std::vector<catalog::RevisionMatch> nearest =
        catalog::nearest_revisions(structure, server::check_interrupts);
    if (nearest.empty())
        return current;
    notice_nearest(installation, state, nearest);
    current.revision = nearest.front().revision;
    return current;
}

void notice_nearest(const Installation &installation, const InstallationState &state,
                    std::span<const catalog::RevisionMatch> nearest)
{
    server::notice(has_no_history(state, installation) + "; by its catalog it is nearest to " +
                   names_of(nearest));
}

std::string advice_for_moved_on(const Installation &installation,
                                std::span<const catalog::CatalogObject> structure,
                                Revision recorded)
{
    if (const auto revision = revision_to_complete(installation, structure, recorded))
        return advice_to_complete(installation, *revision);
    const auto nearer =
        catalog::nearer_later_revision(structure, recorded, server::check_interrupts);
    if (!nearer)
        return {};
    const std::string now(chain::name(nearer->revision));
    return "The catalog is nearer to " + now + " than to " + std::string(chain::name(recorded)) +
           ". To see the differences: " + check_call(installation, nearer->revision) +
           "\nIf another tool has moved the schema on, record that: " +
           stamp_call(installation, nearer->revision) + advice_on_rows(recorded, nearer->revision);
}

std::string advice_for_later_objects(const Installation &installation,
                                     std::span<const catalog::CatalogObject> structure,
                                     Revision nearest)
{
    if (const auto revision = revision_to_complete(installation, structure, nearest))
        return advice_to_complete(installation, *revision);
    const NamesTaken taken = names_taken(installation, {}, nearest, chain::head());
    if (taken.findings.empty())
        return {};
    const std::string advice = "Objects of later migrations are there, so none can go on from " +
                               std::string(chain::name(nearest));
    if (!has_older_objects(structure, chain::head()))
        return advice + ". To see what would make it the schema of head: SELECT * FROM " +
               common::own_function("procrastinate_repair") + "('head', schema => " +
               installation.quoted_text + ");";
    return advice + ". To see how it differs from " + std::string(chain::name(taken.first_maker)) +
           ": " + check_call(installation, taken.first_maker) + advice_on_rest(taken.first_maker);
}

std::string names_of(std::span<const catalog::RevisionMatch> matches)
{
    std::string names;
    for (std::size_t i = 0; i < matches.size(); ++i)
        names.append(i == 0                    ? ""
                     : i + 1 == matches.size() ? " and "
                                               : ", ")
            .append(chain::name(matches[i].revision));
    return names;
}

std::string repair_call(const Installation &installation, std::optional<Revision> revision)
{
    return "SELECT * FROM " + common::own_function("procrastinate_repair") + "(" +
           (revision ? "'" + std::string(chain::name(*revision)) + "', " : std::string()) +
           "schema => " + installation.quoted_text;
}

std::string check_call(const Installation &installation, Revision revision)
{
    return "SELECT * FROM " + common::own_function("procrastinate_check") + "('" +
           std::string(chain::name(revision)) + "', schema => " + installation.quoted_text + ");";
}

void warn_of_external_versions(const Installation &installation, Revision revision,
                               std::span<const std::string> told)
{
    Findings contradictions;
    std::string hint = "To correct the other tool's record:";
    for (const ExternalVersion &version : read_external_versions(installation))
        if (version.revision != revision &&
            std::find(told.begin(), told.end(), version.table) == told.end())
        {
            contradictions.add(finding_of(version));
            const std::string correction = "\n" + version.correction(revision);
            if (hint.find(correction) == std::string::npos)
                hint += correction;
        }
    if (contradictions.any())
        server::warning(in_schema(installation) + " is at " + std::string(chain::name(revision)) +
                            ", but another tool has recorded another revision",
                        contradictions.text(), hint);
}

} // namespace procrastinate::upgrade
