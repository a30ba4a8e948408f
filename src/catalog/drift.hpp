// How what a schema holds differs from what a revision says. Plain data without a server.
#pragma once

#include "catalog/severity.hpp"
#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::catalog
{

enum class Problem
{
    missing,
    extra,
    altered,
    invalid,
    unvalidated,
    disabled,
    other_owner,
    wrong_schema
};

std::string_view name_of(Problem problem);

struct Difference
{
    Problem problem;
    Severity severity;
    std::string_view kind;
    std::string object;         // a key
    std::string expected;       // empty where nothing should be
    std::string actual;         // empty where nothing is
    const chain::Fact *fact;    // what should be, or null
    const CatalogObject *found; // what is, or null
    bool is_of_revision;        // else it concerns not what is there, but who owns or uses it
    bool is_name_taken = false; // of a missing constraint: by an index
};

// "index procrastinate_jobs_lock_idx_v1 is missing", as a clause.
std::string in_words(const Difference &difference);

// Compares one structure with many revisions. The structure must outlive it.
class Comparison
{
  public:
    explicit Comparison(std::span<const CatalogObject> structure);

    // What a fact is about as it is now; null where nothing is.
    const CatalogObject *object_of(const chain::Fact &fact) const;

    // Worst first. Parts of a table that is missing or extra itself are not told, nor indexes of
    // constraints.
    std::vector<Difference> with(chain::Revision revision) const;

  private:
    struct Known
    {
        const chain::Fact *fact;
        std::string key;
        const CatalogObject *found; // null: not there
    };

    std::span<const CatalogObject> objects_;
    std::vector<Known> facts_;
    std::string_view owner_; // of the table of jobs
};

// How well a revision matches.
struct RevisionMatch
{
    chain::Revision revision;
    int missing;
    int extra;
    int altered; // or not working, or looking for its parts elsewhere

    int differences() const { return missing + extra + altered; }
    bool is_exact() const { return differences() == 0; }
};

RevisionMatch match_of(chain::Revision revision, std::span<const Difference> differences);

// The revisions that match without a difference; where there is none, the nearest few, best first.
// None of an empty structure.
std::vector<RevisionMatch> closest_revisions(std::span<const CatalogObject> structure);

// The revision that matches without a difference.
std::optional<chain::Revision> exact_match(std::span<const CatalogObject> structure);

} // namespace procrastinate::catalog
