// The next action of an online run: a pure function of the step and of what is known now.
//
// online_run.cpp observes, asks next_action() and does what it answers, until the target is
// reached. This file includes no server header: the unit tests go through every combination of
// states.
#pragma once

#include "chain/step.hpp"
#include "common/index_state.hpp"

namespace procrastinate::online
{

enum class Action
{
    finish,             // the target is reached
    install,            // create the schema of head
    check_use,          // refuse if what the migration drops is in use
    check_names,        // refuse if an index that the migration builds has its name taken
    announce_step,      // tell the caller which step begins
    lock_builds,        // take the advisory lock of index builds
    drop_skipped_index, // drop an invalid index of an earlier step that this target skips
    record_build_start, // from then on an index of the step's name is taken for ours
    refuse_index,       // an index of the step's name is on another table
    drop_invalid_index, // what is left of a build that was ended
    build_index,        // CREATE INDEX CONCURRENTLY, by a background worker
    build_index_plain,  // CREATE INDEX, while writers wait
    record_built_index, // the index is valid: the step is done
    reinstall_barrier,  // the fetch functions have the barrier of a schema with another name
    wait_for_fetches,   // those that began before the barrier was installed
    close_barrier,      // from then on fetches return no job
    begin_batches,      // read the range of ids
    run_batch,          // change the next rows
    execute             // run the step's statements in one transaction
};

// What the transactions of a call do: if nobody can use the schema yet, the installation at head or
// whole migrations, else steps.
enum class Unit
{
    installation,
    migration,
    step
};

using common::IndexState;

enum class IndexMethod
{
    concurrently,
    plain
};

// The fetch barrier of a step that closes it; installed for other steps.
enum class BarrierState
{
    outdated,  // the functions have the barrier of a schema with another name
    installed, // and open
    closed     // by this call
};

// What is known when the next action is chosen. The loop fills it anew in each transaction.
struct State
{
    bool is_target_reached = false;
    Unit unit = Unit::step;
    bool is_under_way = false;             // the history has a row of a step of this migration
    bool is_unused = false;                // the in-use check has passed, or is not wanted
    bool are_names_free = false;           // of the indexes that the migration builds
    bool is_announced = false;             // the step, to the caller
    bool has_skipped_index = false;        // an invalid one, of a step that this target skips
    bool are_builds_locked = false;        // this call has the advisory lock of index builds
    IndexState index = IndexState::absent; // of a concurrent step; absent for other steps
    IndexMethod method = IndexMethod::concurrently;
    BarrierState barrier = BarrierState::installed;
    bool are_fetches_over = false;  // those that began before the barrier was installed
    bool are_batches_begun = false; // of this step
};

// `step` is the first that is left on the way to the target; it is not looked at once the target is
// reached.
Action next_action(const chain::Step &step, const State &state);

// "close_barrier", for messages of tests.
std::string_view name_of(Action action);

} // namespace procrastinate::online
