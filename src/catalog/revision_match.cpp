#include "catalog/drift.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

RevisionMatch match_of(chain::Revision revision, std::span<const Difference> differences)
{
    RevisionMatch match{revision, 0, 0, 0};
    for (const Difference &one : differences)
    {
        if (!one.is_of_revision)
            continue;
        int &count = one.problem == Problem::missing ? match.missing
                     : one.problem == Problem::extra ? match.extra
                                                     : match.altered;
        ++count;
        match.renamed += one.problem == Problem::renamed ? 1 : 0;
    }
    return match;
}

std::vector<RevisionMatch> closest_revisions(std::span<const CatalogObject> structure,
                                             CheckInterrupts check_interrupts)
{
    constexpr std::size_t most = 3;
    std::vector<RevisionMatch> matches;
    if (is_empty(structure))
        return matches;
    const Comparison comparison(structure);
    // A schema with a table is never base: nobody could go on from there.
    const bool has_table = std::any_of(structure.begin(), structure.end(), [](const auto &object) {
        return object.kind == chain::Kind::table && object.flaw != Flaw::unknown;
    });
    for (chain::Revision revision = has_table ? chain::base + 1 : chain::base;
         revision <= chain::head(); ++revision)
    {
        matches.push_back(match_of(revision, comparison.with(revision)));
        if (check_interrupts != nullptr)
            check_interrupts();
    }
    // Of revisions that match alike the later one comes first: a chain is only ever upgraded.
    std::sort(matches.begin(), matches.end(),
              [](const RevisionMatch &left, const RevisionMatch &right) {
                  return std::pair(left.distance(), -left.revision) <
                         std::pair(right.distance(), -right.revision);
              });
    const auto end =
        matches.front().is_exact()
            ? std::find_if(matches.begin(), matches.end(),
                           [](const RevisionMatch &match) { return !match.is_exact(); })
            : matches.begin() + most;
    matches.erase(end, matches.end());
    return matches;
}

std::vector<RevisionMatch> nearest_revisions(std::span<const CatalogObject> structure,
                                             CheckInterrupts check_interrupts)
{
    std::vector<RevisionMatch> matches = closest_revisions(structure, check_interrupts);
    std::erase_if(matches, [least = matches.empty() ? 0 : matches.front().distance()](
                               const RevisionMatch &match) { return match.distance() > least; });
    return matches;
}

std::optional<RevisionMatch> nearest_revision(std::span<const CatalogObject> structure,
                                              CheckInterrupts check_interrupts)
{
    const std::vector<RevisionMatch> matches = closest_revisions(structure, check_interrupts);
    return matches.empty() ? std::nullopt : std::optional(matches.front());
}

std::optional<RevisionMatch> nearer_later_revision(std::span<const CatalogObject> structure,
                                                   chain::Revision revision,
                                                   CheckInterrupts check_interrupts)
{
    const int distance = match_of(revision, Comparison(structure).with(revision)).distance();
    const std::optional<RevisionMatch> nearest = nearest_revision(structure, check_interrupts);
    return nearest && nearest->revision > revision && nearest->distance() < distance ? nearest
                                                                                     : std::nullopt;
}

} // namespace procrastinate::catalog
