#include "upgrade/drift_findings.hpp"

#include "catalog/grants.hpp"
#include "catalog/repair_statements.hpp"
#include "catalog/structure.hpp"
#include "common/own_function.hpp"
#include "server/pause.hpp"
#include "upgrade/catalog_at_once.hpp"
#include "upgrade/catalog_match.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::Difference;
using catalog::Installation;
using catalog::Severity;

DriftFindings compare(const Installation &installation, const InstallationState &state)
{
    const chain::Revision revision = *state.current.revision;
    server::ContextResource memory;
    const auto structure = catalog::structure(installation, memory);
    const auto objects = server::span_of(structure);
    std::vector<Difference> differences = catalog::Comparison(objects).with(revision);
    catalog::add_lacking_grants(differences, installation, objects, revision);
    if (!is_recorded_still(installation, state))
        return {};
    DriftFindings findings;
    for (const Difference &one : differences)
        if (one.severity != Severity::info)
            (one.severity == Severity::error ? findings.errors : findings.warnings)
                .add(common::capitalized(catalog::in_words(one)));
    std::erase_if(differences,
                  [](const Difference &one) { return one.severity != Severity::error; });
    // A schema that is nearer to a later revision is not repaired.
    findings.can_repair =
        catalog::can_repair(differences, revision) &&
        !catalog::nearer_later_revision(objects, revision, server::check_interrupts);
    return findings;
}

std::string hint_of(const Installation &installation)
{
    return "To see all differences: SELECT * FROM " + common::own_function("procrastinate_check") +
           "(schema => " + installation.quoted_text + ");";
}

} // namespace

DriftFindings find_drift(const Installation &installation, const InstallationState &state,
                         WhileLocked while_locked)
{
    // In the middle of a migration the schema is that of no revision.
    if (state.under_way || state.current.revision == chain::base)
        return {};
    const auto compared = [&] { return compare(installation, state); };
    return while_locked == WhileLocked::waits
               ? compared()
               : with_catalog_at_once(installation, DriftFindings(), compared);
}

common::Refusal drift_refusal(const DriftFindings &findings, const Installation &installation,
                              chain::Revision revision)
{
    return {common::sqlstate::catalog_contradicts,
            catalog::in_schema(installation) + " differs from " +
                std::string(chain::name(revision)),
            findings.errors.text(), hint_of(installation)};
}

std::string hint_for_drift(const DriftFindings &findings, const Installation &installation)
{
    return findings.can_repair ? "To repair: " + repair_call(installation) + ", dry_run => false);"
                               : hint_of(installation);
}

std::string advice_for_drift(const DriftFindings &findings, const Installation &installation)
{
    const int count = findings.errors.count();
    if (count == 0)
        return {};
    return (count == 1 ? findings.errors.text()
                       : std::to_string(count) + " differences break Procrastinate.") +
           " " + hint_for_drift(findings, installation);
}

} // namespace procrastinate::upgrade
