#include "upgrade/adoption.hpp"

#include "catalog/structure.hpp"
#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "upgrade/external_versions.hpp"
#include "upgrade/privileges.hpp"

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

[[noreturn]] void refuse_empty(const Installation &installation)
{
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) + " holds nothing of Procrastinate's",
                  "There is no table, type or function of any revision to adopt.",
                  "To install it: SELECT procrastinate_upgrade('head', " +
                      std::string(installation.quoted_text) + ");"};
}

std::string in_words(const ExternalVersion &version)
{
    const std::string_view revision = chain::name(version.revision);
    return "Table " + version.table + " says " + version.says +
           (version.says == revision ? "" : ", which is " + std::string(revision));
}

[[noreturn]] void refuse_inexact(const Installation &installation,
                                 std::span<const catalog::CatalogObject> structure,
                                 std::span<const catalog::RevisionMatch> matches)
{
    const catalog::RevisionMatch &nearest = matches.front();
    const std::string revision(chain::name(nearest.revision));
    const std::string schema(installation.quoted_text);
    Findings testimony;
    for (const ExternalVersion &version : read_external_versions(installation))
        testimony.add(in_words(version));
    const Findings findings = findings_of(catalog::Comparison(structure).with(nearest.revision));
    throw Refusal{sqlstate::catalog_contradicts,
                  in_schema(installation) + " matches no revision exactly",
                  "The nearest is " + revision + ", with " + std::to_string(nearest.differences()) +
                      (nearest.differences() == 1 ? " difference:\n" : " differences:\n") +
                      findings.text() + (testimony.any() ? "\n" : "") + testimony.text(),
                  "To see what can be mended: SELECT * FROM procrastinate_repair(" + schema +
                      ");\nTo mend it: SELECT * FROM procrastinate_repair(" + schema +
                      ", dry_run => false);\nTo record the revision all the same: SELECT "
                      "procrastinate_stamp('" +
                      revision + "', verify => false, schema => " + schema + ");"};
}

} // namespace

Revision require_exact(const Installation &installation)
{
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto objects = server::span_of(structure);
    const std::vector<catalog::RevisionMatch> matches = catalog::closest_revisions(objects);
    if (matches.empty())
        refuse_empty(installation);
    if (!matches.front().is_exact())
        refuse_inexact(installation, objects, matches);
    return matches.front().revision;
}

void warn_of_external_versions(const Installation &installation, Revision revision)
{
    Findings contradictions;
    std::string hint = "The catalog is right. To set the other right:";
    for (const ExternalVersion &version : read_external_versions(installation))
        if (version.revision != revision)
        {
            contradictions.add(in_words(version));
            const std::string correction = "\n" + version.correction(revision);
            if (hint.find(correction) == std::string::npos)
                hint += correction;
        }
    if (contradictions.any())
        server::warning(in_schema(installation) + " is at " + std::string(chain::name(revision)) +
                            ", and another tool has written down something else",
                        contradictions.text(), hint);
}

} // namespace procrastinate::upgrade
