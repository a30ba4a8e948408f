// Steps of an online run: how a migration changes big tables in use, in several transactions of
// which none holds a strong lock for long. The build makes them from the step files in
// ../migrations/online/ (embed/Steps.pm); ../migrations/README.md has the format of these files. A
// migration without a step file is one brief step.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <vector>

namespace procrastinate::chain
{

enum class StepKind
{
    brief,      // statements that hold strong locks for a moment
    batched,    // one statement, run again and again over rows with $1 < id <= $2
    concurrent, // CREATE INDEX CONCURRENTLY
    validated   // statements that take long, under locks that let other sessions write
};

struct StepLock
{
    std::string_view table;
    std::string_view mode;    // "ACCESS EXCLUSIVE"
    bool may_be_gone = false; // true if the table may have been dropped already
};

// The statements of the migration's own file that a step runs, chosen by how they begin.
struct Rest
{
    enum
    {
        none,    // no statement
        without, // all that begin with none of `beginnings`
        only     // all that begin with one of them
    } kind = none;
    std::span<const std::string_view> beginnings = {};

    bool takes(std::string_view statement) const;
};

// A step as a step file has it.
struct WrittenStep
{
    Revision revision;
    StepKind kind;
    std::string_view title;
    std::string_view table = {};          // whose rows a batched step changes; a new index's table
    std::string_view index = {};          // that a concurrent step builds
    std::span<const StepLock> locks = {}; // as the file lists them
    std::string_view sql = {};
    Rest rest = {};
    // The later revision that the step belongs to, or base. The step runs early because the
    // revisions between need it to be fast, and only if the run goes that far.
    Revision ahead_of = base;
    bool has_barrier = false;
    bool is_rewrite = false; // a batched step that changes every row
};

struct Step : WrittenStep
{
    int number; // from 1
    int count;  // the number of steps of the revision
    // What the step does to the fetch barrier. A step that the file marks with `barrier` closes it,
    // and steps() adds one before that installs it and one after that removes it.
    enum
    {
        none,
        install,
        close,
        remove
    } barrier = none;

    std::string name() const; // "0024.3"
    // The locks on Procrastinate's tables that the step takes: those of its kind, or those of the
    // file. Each step also locks the history table.
    std::vector<StepLock> all_locks() const;
};

// The steps of the step files, in the order of the chain.
std::span<const WrittenStep> written_steps();

// The steps of a revision after base, in order.
std::vector<Step> steps(Revision revision);

// The steps that a run to `target` still has to do after the first `done` ones.
std::vector<Step> steps_left(Revision revision, int done, Revision target);

// The indexes of a revision that a step of an earlier one may have built ahead.
std::vector<std::string> built_ahead(Revision revision);

// The whole migration as one brief step without locks.
Step whole_step(Revision revision);

// "brief", "batched", "concurrent" or "validated".
std::string_view kind_name(StepKind kind);

// How far a batched step has come, in ids; they may be negative.
struct Position
{
    long long done;
    long long last;
};

// How far a revision under way has come, as the history records it: "0024.3" once step 3 is
// complete, "0024.0" while the revision has started and no step is complete. With a position the
// next step is a batched one that has come so far: "0024.3, 500 of 900".
struct StepName
{
    static constexpr int started = 0; // as `number`: no step is complete

    Revision revision;
    int number; // of the last completed step, or `started`
    std::optional<Position> position = {};

    bool has_completed_step() const { return number != started; }
};
std::string step_name(const StepName &name);

// Reads such a name into `parsed`; false if the text is none.
bool parse_step_name(std::string_view name, StepName &parsed);

} // namespace procrastinate::chain
