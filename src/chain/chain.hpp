// The chain of migrations, the releases and the facts of the schema, as embedded in the library.
// Plain data without a server; see ../data/ for where it comes from.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace procrastinate::chain
{

// A place on the chain: 0 is base (nothing installed), 1 to head_revision are migrations.
using Revision = int;

inline constexpr Revision base = 0;

// From 3.0 on, `pre` may be applied while the old code runs, `post` only once it is gone.
enum class Phase
{
    none,
    pre,
    post
};

struct Migration
{
    Revision number;
    std::string_view revision; // "0031"
    std::string_view file;     // "03.00.00_50_post_cancel_notification.sql"
    std::string_view title;    // "Post Cancel Notification"
    Phase phase;
    bool writes_rows; // changes rows that are there, and so runs their triggers
    std::string_view sql;
};

// A Procrastinate release, the revision that it expects and those that its code works on.
struct Release
{
    std::string_view name;
    Revision head;
    Revision works_from;
    Revision works_to;
};

// Something in the catalog, from the first to the last revision at which it is there so.
struct Fact
{
    Revision first;
    Revision last;
    std::string_view
        kind; // table, column, constraint, index, enum, composite, sequence, function, trigger
    std::string_view definition; // begins with its name
};

// The text of a function as it may be found between two revisions: upstream's and ours.
struct FunctionBody
{
    Revision first;
    Revision last;
    std::string_view function; // with its arguments, as a fact's definition begins
    std::string_view md5;
    int fails_before; // the major version of the server that it needs; 0: any
};

// A statement of a migration that creates a function, or replaces it.
struct FunctionSource
{
    Revision made_by;
    std::string_view function; // as above
    std::string_view sql;
};

std::span<const Migration> migrations();
std::span<const Release> releases(); // oldest first; their heads never go back
std::span<const Fact> facts();
std::span<const FunctionBody> function_bodies();
std::span<const FunctionSource> function_sources(); // in the order of the chain
// The statements that make the schema of head in an empty schema; `quoted_schema` is its name as an
// identifier. Every name in them is qualified, so that they are safe to run under a search_path
// that does not contain the schema; string literals need standard_conforming_strings = on, and
// function bodies, which are not qualified, check_function_bodies = off.
std::string head_script(std::string_view quoted_schema);
// The steps of a migration that goes through big tables (see step.hpp); empty: it is one step.
std::string_view online_script(Revision revision);
std::string_view early_types_script(); // the enum types with the labels of 0027, in place of 0001's

Revision head();

// The migration that leads to a revision after base.
const Migration &migration(Revision revision);

// "base", "0001" … as users read it.
std::string_view name(Revision revision);

// "pre", "post" or nothing.
std::string_view phase_name(Phase phase);

// The name that a fact's definition begins with: of a function without its arguments,
// of a column, constraint with its table in front ("procrastinate_jobs.lock").
std::string_view fact_name(const Fact &fact);

// What tells objects of one kind apart: the name, of a trigger with its table in front, of a function
// with the types of its arguments ("procrastinate_cancel_job_v1(bigint, boolean, boolean)").
std::string fact_key(const Fact &fact);

// The function of a fact's definition, with its arguments.
std::string_view function_signature(std::string_view definition);

inline bool is_at(const Fact &fact, Revision revision)
{
    return fact.first <= revision && revision <= fact.last;
}

// A run of the chain cannot both add enum labels and use them in one transaction, unless it begins
// at base: 0027 adds `aborting` to the job's status, 0029 and 0030 use it.
inline constexpr Revision labels_added = 27;
inline constexpr Revision labels_used = 29;

// The last revision that a transaction which begins at `from` can reach on its way to `to`.
Revision reachable_in_one_transaction(Revision from, Revision to);

} // namespace procrastinate::chain
