#include "upgrade/catalog_match.hpp"

#include "catalog/structure.hpp"
#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "upgrade/current_state.hpp"
#include "upgrade/external_versions.hpp"

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

[[noreturn]] void refuse_inexact(const Installation &installation, const InstallationState &state,
                                 std::span<const catalog::CatalogObject> structure,
                                 const catalog::RevisionMatch &nearest)
{
    const std::string revision(chain::name(nearest.revision));
    const std::string schema(installation.quoted_text);
    const std::string repair = common::own_function("procrastinate_repair") + "(" + schema;
    Findings external_versions;
    for (const ExternalVersion &version : read_external_versions(installation))
        external_versions.add(finding_of(version));
    const std::string claim =
        state.is_foreign
            ? "If another database has written the history, and this one is its copy:\n" +
                  claim_history(installation)
            : std::string();
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) + " matches no revision exactly",
                  "The nearest is " + revision + ", with " + std::to_string(nearest.differences()) +
                      (nearest.differences() == 1 ? " difference:\n" : " differences:\n") +
                      differences(structure, nearest.revision).text() +
                      (external_versions.any() ? "\n" : "") + external_versions.text(),
                  claim + "To see what can be repaired: SELECT * FROM " + repair +
                      ");\nTo repair it: SELECT * FROM " + repair +
                      ", dry_run => false);\nTo record the revision without repair: SELECT " +
                      common::own_function("procrastinate_stamp") + "('" + revision +
                      "', verify => false, schema => " + schema + ");"};
}

} // namespace

Revision require_exact_match(const Installation &installation, const InstallationState &state)
{
    if (state.is_foreign_step)
        throw foreign_history(state, installation);
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto objects = server::span_of(structure);
    const std::vector<catalog::RevisionMatch> matches =
        catalog::closest_revisions(objects, server::check_interrupts);
    if (matches.empty())
    {
        require_tables(installation, state.recorded_revision.value_or(chain::base));
        return chain::base;
    }
    if (!matches.front().is_exact())
        refuse_inexact(installation, state, objects, matches.front());
    return matches.front().revision;
}

void require_match(const Installation &installation, Revision revision)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const Findings findings = differences(server::span_of(structure), revision);
    if (!findings.any())
        return;
    const std::string wanted(chain::name(revision));
    const std::string schema = ", schema => " + installation.quoted_text + ");";
    throw Refusal{sqlstate::catalog_contradicts, in_schema(installation) + " is not at " + wanted,
                  findings.text(),
                  "To see all differences: SELECT * FROM " +
                      common::own_function("procrastinate_check") + "('" + wanted + "'" + schema +
                      "\nTo record it without this check: SELECT " +
                      common::own_function("procrastinate_stamp") + "('" + wanted +
                      "', verify => false" + schema};
}

chain::CurrentRevision recorded_or_nearest(const Installation &installation,
                                           const InstallationState &state,
                                           std::span<const catalog::CatalogObject> structure)
{
    InstallationState now = state;
    if (const auto revision = contradicting_revision(state, structure))
    {
        now.go_by_catalog(*revision);
        notice_if_by_catalog(now, installation);
    }
    if (now.current.revision || state.is_unknown_history())
        return now.current;
    const std::optional<catalog::RevisionMatch> nearest =
        catalog::nearest_revision(structure, server::check_interrupts);
    if (!nearest)
        return now.current;
    server::notice(in_schema(installation) + " has no history; by its catalog it is nearest to " +
                   std::string(chain::name(nearest->revision)));
    now.current.revision = nearest->revision;
    return now.current;
}

void warn_of_external_versions(const Installation &installation, Revision revision)
{
    Findings contradictions;
    std::string hint = "To correct the other tool's record:";
    for (const ExternalVersion &version : read_external_versions(installation))
        if (version.revision != revision)
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
