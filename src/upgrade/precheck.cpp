#include "upgrade/precheck.hpp"

#include "catalog/repair_statements.hpp"
#include "common/findings.hpp"
#include "upgrade/precheck_constraints.hpp"
#include "upgrade/precheck_dependents.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::CatalogObject;
using catalog::Installation;
using chain::Kind;
using chain::Revision;

// True if the difference breaks Procrastinate and no pending migration removes it, or if it would
// make a pending migration fail.
bool breaks(const catalog::Difference &difference, Revision target)
{
    const bool ends = difference.fact != nullptr && difference.fact->last < target;
    const bool is_named = difference.problem != catalog::Problem::missing &&
                          difference.problem != catalog::Problem::renamed;
    if (is_named || !ends)
        return difference.severity == catalog::Severity::error;
    // A migration that drops the object fails without it. Tables are dropped IF EXISTS (0004,
    // 0008), and a sequence goes with its table.
    return difference.kind != Kind::table && difference.kind != Kind::sequence;
}

// A function that its release shipped so, and that fails on this server, makes no migration fail.
bool is_shipped_so(const catalog::Difference &difference)
{
    return !difference.is_of_revision && difference.problem != catalog::Problem::extra;
}

// True if the search for refused rows reads the object.
bool is_read(const catalog::Difference &difference)
{
    return difference.fact != nullptr &&
           (difference.kind == Kind::table || difference.kind == Kind::column ||
            difference.kind == Kind::enum_type);
}

} // namespace

bool can_migrate(std::span<const CatalogObject> structure, Revision current, Revision target)
{
    const std::vector<catalog::Difference> differences =
        catalog::Comparison(structure).with(current);
    return std::none_of(differences.begin(), differences.end(),
                        [target](const catalog::Difference &one) {
                            return one.problem == catalog::Problem::unknown ||
                                   (!is_shipped_so(one) && breaks(one, target));
                        });
}

PrecheckResult run_precheck(const Installation &installation,
                            std::span<const CatalogObject> structure, Revision current,
                            Revision target)
{
    PrecheckResult result;
    const catalog::Comparison comparison(structure);
    bool can_read_rows = true;
    const std::vector<catalog::Difference> differences = comparison.with(current);
    result.can_repair = catalog::can_repair(differences, current);
    for (const catalog::Difference &one : differences)
    {
        const std::string finding = common::capitalized(catalog::in_words(one));
        if (one.problem == catalog::Problem::unknown)
        {
            result.unknown.push_back(finding);
            continue;
        }
        if (is_shipped_so(one))
        {
            if (one.severity == catalog::Severity::error)
                result.doubts.push_back(finding);
            continue;
        }
        if (is_read(one))
            can_read_rows = can_read_rows && !breaks(one, target);
        if (breaks(one, target))
            result.drift.push_back(finding);
        else if (one.severity != catalog::Severity::info)
            result.doubts.push_back(finding);
    }
    result.dependents = find_dependents(comparison, current, target);
    if (can_read_rows)
        result.rows = find_refused_rows(installation, structure, current, target);
    return result;
}

} // namespace procrastinate::upgrade
