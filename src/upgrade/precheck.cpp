#include "upgrade/precheck.hpp"

#include "common/findings.hpp"
#include "upgrade/precheck_constraints.hpp"
#include "upgrade/precheck_dependents.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::CatalogObject;
using catalog::Installation;
using chain::Revision;

// Whether Procrastinate is broken by a difference and stays so, or a migration would be.
bool breaks(const catalog::Difference &difference, Revision target)
{
    const bool ends = difference.fact != nullptr && difference.fact->last < target;
    if (difference.problem != catalog::Problem::missing || !ends)
        return difference.severity == catalog::Severity::error;
    // Tables are dropped if they are there (0004, 0008); nothing else is.
    return difference.kind != "table" && difference.kind != "sequence";
}

} // namespace

PrecheckResult run_precheck(const Installation &installation,
                            std::span<const CatalogObject> structure, Revision current,
                            Revision target)
{
    PrecheckResult problems;
    const catalog::Comparison comparison(structure);
    bool is_readable = true; // as the facts say
    for (const catalog::Difference &one : comparison.with(current))
    {
        if (!one.is_of_revision)
        {
            // A function as its release shipped it that fails on this server: nobody's new mistake.
            if (one.severity == catalog::Severity::error)
                problems.doubts.push_back(common::capitalized(catalog::in_words(one)));
            continue;
        }
        if (one.fact != nullptr &&
            (one.kind == "table" || one.kind == "column" || one.kind == "enum"))
            is_readable = is_readable && !breaks(one, target);
        if (breaks(one, target))
            problems.drift.push_back(common::capitalized(catalog::in_words(one)));
        else if (one.severity != catalog::Severity::info)
            problems.doubts.push_back(common::capitalized(catalog::in_words(one)));
    }
    problems.dependents = find_dependents(comparison, current, target);
    if (is_readable)
        problems.rows = find_refused_rows(installation, structure, current, target);
    return problems;
}

} // namespace procrastinate::upgrade
