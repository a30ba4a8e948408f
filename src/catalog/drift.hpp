// Drift: the differences between the objects of a schema and those of a revision, and the revision
// that matches a schema best. Plain data without a server.
#pragma once

#include "catalog/severity.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
    wrong_schema,
    lacking_grant, // a role has the queue's rights, but not those on the object
    renamed,       // there under another name
    unknown        // of Procrastinate's names, and of no revision that this version knows
};

// "missing", "other owner" ... as users read it.
std::string_view name_of(Problem problem);

struct Difference
{
    Problem problem;
    Severity severity;
    chain::Kind kind;
    std::string object;         // its key
    std::string expected;       // empty if there should be no such object
    std::string actual;         // empty if there is none
    const chain::Fact *fact;    // the object that should be there, or null
    const CatalogObject *found; // the object that is there, or null
    // False if a schema at the revision may differ so: another owner, an object that no revision
    // has, a table that is unlogged or has row-level security, a function with settings, but for a
    // search_path that does not find the schema, a function as its release shipped it that fails on
    // this server, a sequence that counts otherwise, a lacking grant.
    bool is_of_revision;
    // Of a missing or renamed object: another one has its name, or that of a part of it.
    bool is_name_taken = false;
    // A post migration that has not run here, as other objects show, and that makes the object so;
    // base if there is none. Old code may still run, so no repair may anticipate it.
    chain::Revision left_to = chain::base;
};

// True if the difference is the search_path of a function, which does not find the installation.
bool is_lost(const Difference &difference);

// What a difference of Problem::lacking_grant expects: "SELECT, INSERT for worker". `role` is a
// quoted identifier.
std::string grant_in_words(std::string_view privileges, std::string_view role);
// The privileges and the role of that text.
std::pair<std::string_view, std::string_view> words_of_grant(std::string_view text);

// "index procrastinate_jobs_lock_idx_v1 is missing": a clause for a message.
std::string in_words(const Difference &difference);

// True if no object is of a name that a revision has.
bool is_empty(std::span<const CatalogObject> structure);

// Compares one structure with many revisions. The structure must outlive it.
class Comparison
{
  public:
    explicit Comparison(std::span<const CatalogObject> structure);

    // The object of a fact as it is now; null if there is none.
    const CatalogObject *object_of(const chain::Fact &fact) const;

    // The differences from a revision, worst first. Leaves out the parts of a table that is itself
    // missing or extra, the index of a constraint that is or that has another name, and a default
    // whose sequence has another name.
    std::vector<Difference> with(chain::Revision revision) const;

  private:
    std::vector<Difference> all_differences(chain::Revision revision) const;
    bool has_code_dropped_by(chain::Revision revision) const;

    std::span<const CatalogObject> objects_;
    std::vector<const CatalogObject *> found_; // by the number of the fact; null: not there
    std::string_view owner_;                   // of the table of jobs
};

// How well a revision matches.
struct RevisionMatch
{
    chain::Revision revision;
    int missing;
    int extra;       // objects of other revisions
    int altered;     // every other problem
    int renamed = 0; // of these

    int differences() const { return missing + extra + altered; }
    // The smaller, the nearer. A renamed object weighs little, because it is there: for a revision
    // that does not have it, it is one too many.
    int distance() const { return 8 * (differences() - renamed) + renamed; }
    bool is_exact() const { return differences() == 0; }
};

RevisionMatch match_of(chain::Revision revision, std::span<const Difference> differences);

// Called between two pieces of a long comparison; it may throw to end it.
using CheckInterrupts = void (*)();

// The revisions that match without a difference. If there is none, the three with the fewest
// differences, best first. Base is none of them if there is a table. Empty if no object is of a
// known name.
std::vector<RevisionMatch> closest_revisions(std::span<const CatalogObject> structure,
                                             CheckInterrupts check_interrupts = nullptr);

// Those of them that match as well as the first one.
std::vector<RevisionMatch> nearest_revisions(std::span<const CatalogObject> structure,
                                             CheckInterrupts check_interrupts = nullptr);

// The nearest revision, if it is later than this one and matches better: another tool may have
// moved the schema on.
std::optional<RevisionMatch> nearer_later_revision(std::span<const CatalogObject> structure,
                                                   chain::Revision revision,
                                                   CheckInterrupts check_interrupts = nullptr);

// The revision that stands in for the current one if an installation has no history: the first of
// closest_revisions(). Nothing if that is empty.
std::optional<RevisionMatch> nearest_revision(std::span<const CatalogObject> structure,
                                              CheckInterrupts check_interrupts = nullptr);

} // namespace procrastinate::catalog
