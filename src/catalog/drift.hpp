// How what a schema holds differs from what a revision says. Plain data without a server.
#pragma once

#include "chain/chain.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::catalog
{

// Something in the catalog as it is; `flaw` is what keeps it from working.
struct Thing
{
    std::string_view kind; // as in chain::Fact; also rule, view: what others put on the tables
    std::string_view key;  // as chain::fact_key
    std::string_view definition; // in the words of the facts
    std::string_view body;       // of a function: md5 of its text; else empty
    std::string_view flaw;       // invalid, unvalidated, disabled or empty
    std::string_view owner;      // a role; empty for what has none of its own
    std::uint32_t class_id = 0;  // where pg_depend finds it: the catalog, the object, the column
    std::uint32_t object_id = 0;
    std::int32_t column = 0;
};

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

enum class Severity
{
    info,    // the user's own business
    warning, // Procrastinate works, but slower or not as meant
    error    // breaks Procrastinate
};

std::string_view name_of(Problem problem);
std::string_view name_of(Severity severity);

struct Difference
{
    Problem problem;
    Severity severity;
    std::string_view kind;
    std::string object;      // a key
    std::string expected;    // empty where nothing should be
    std::string actual;      // empty where nothing is
    const chain::Fact *fact; // what should be, or null
    const Thing *thing;      // what is, or null
    bool is_of_revision;     // else it concerns not what is there, but who owns or uses it
};

// Whether an enum has all labels of its definition in their order; more of them harm nobody.
bool has_labels(std::string_view enum_definition, std::string_view actual);

// "index procrastinate_jobs_lock_idx_v1 is missing", as a clause.
std::string in_words(const Difference &difference);

// Compares one structure with many revisions. The structure must outlive it.
class Comparison
{
  public:
    explicit Comparison(std::span<const Thing> structure);

    // What a fact is about as it is now; null where nothing is.
    const Thing *thing_of(const chain::Fact &fact) const;

    // Worst first. Parts of a table that is missing or extra itself are not told, nor indexes of
    // constraints.
    std::vector<Difference> with(chain::Revision revision) const;

  private:
    struct Known
    {
        const chain::Fact *fact;
        std::string key;
        const Thing *thing; // null: not there
    };

    std::span<const Thing> things_;
    std::vector<Known> facts_;
    std::string_view owner_; // of the table of jobs
};

// How well a revision fits.
struct Fit
{
    chain::Revision revision;
    int missing;
    int extra;
    int altered; // or not working, or looking for its parts elsewhere

    int differences() const { return missing + extra + altered; }
    bool is_exact() const { return differences() == 0; }
};

Fit fit_of(chain::Revision revision, std::span<const Difference> differences);

// The revisions that fit without a difference; where there is none, the nearest few, best first.
// None of an empty structure.
std::vector<Fit> best_fits(std::span<const Thing> structure);

// The revision that fits without a difference.
std::optional<chain::Revision> exact_fit(std::span<const Thing> structure);

} // namespace procrastinate::catalog
