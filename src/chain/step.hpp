// The steps in which a migration goes through a big table that is in use: each in a transaction of its
// own, none with a strong lock for long. Read from ../migrations/online/, where a step is
//
//   -- step <kind>[ <table>][, barrier][, rewrites][, ahead of <revision>]: <title>
//   -- lock <table> <mode>[ if there], …
//   <statements>
//   -- rest[ without <beginning of statement>, …| only <beginning of statement>, …]
//
// and the rest is what of the migration's own file the other steps do not do. A migration without such a
// file is one brief step.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string>
#include <vector>

namespace procrastinate::chain
{

enum class StepKind
{
    brief,      // statements that need strong locks, for an instant
    batched,    // one statement over rows, $1 < id <= $2 at a time
    concurrent, // one statement that builds an index while others write
    validated   // statements that take long and let others work
};

struct StepLock
{
    std::string_view table;
    std::string_view mode;    // "ACCESS EXCLUSIVE"
    bool may_be_gone = false; // the table, before the step
};

// What of a migration's own statements belongs to a step, by how they begin.
struct Rest
{
    enum
    {
        none,
        without,
        only
    } kind = none;
    std::vector<std::string_view> beginnings;

    bool takes(std::string_view statement) const;
};

struct Step
{
    Revision revision;
    int number; // from 1
    int count;  // of the steps of its revision
    StepKind kind;
    // Around a change of the jobs' columns, steps that nobody wrote: fetches learn to look for a barrier,
    // which is shut while the columns change, and forget it again.
    enum
    {
        none,
        install,
        close,
        remove
    } barrier = none;
    // Done only on the way to that revision or a later one, which would else do it later: what lies
    // between needs it to be fast.
    Revision ahead_of = base;
    bool is_rewrite = false; // a batched one that changes every row
    std::string_view title;
    std::string_view table; // whose rows a batched step goes through
    std::vector<StepLock> locks;
    std::string_view sql;
    Rest rest;

    std::string name() const;         // "0024.3"
    std::string_view index() const;   // the name of the one that a concurrent step builds
    std::string_view indexed() const; // and its table
    // Those that are written, and those that its kind takes anyway; the history's is each step's.
    std::vector<StepLock> all_locks() const;
    // A brief one in its place, with these.
    Step asking_for(std::vector<StepLock> others) const;
};

// In order; of a revision after base.
std::vector<Step> steps(Revision revision);

// Those that are left on the way to a target, when so many have been done.
std::vector<Step> steps_left(Revision revision, int done, Revision target);

// The indexes of a revision's that an earlier one may have built ahead.
std::vector<std::string> built_ahead(Revision revision);

// All of the migration at once.
Step whole_step(Revision revision);

// Takes the text apart; `revision` is for the numbers. Throws std::invalid_argument where it is not as
// above.
std::vector<Step> parse_steps(Revision revision, std::string_view text);

std::string_view kind_name(StepKind kind);

// "0024.3", or "0024.3, 500 of 900" where the step after it is a batched one that has come so far: taken
// apart; false where it is none. Number 0 is what comes before the first step.
struct Position
{
    long long done; // ids, which may be negative
    long long last;
};
struct StepName
{
    Revision revision;
    int number;
    std::optional<Position> position = {};
};
std::string step_name(const StepName &name);
bool parse_step_name(std::string_view name, StepName &parsed);

} // namespace procrastinate::chain
