#include "online/next_action.hpp"

#include <array>

namespace procrastinate::online
{

namespace
{

using chain::Step;
using chain::StepKind;

constexpr std::array<std::string_view, 19> names{"finish",
                                                 "install",
                                                 "check_use",
                                                 "check_names",
                                                 "announce_step",
                                                 "lock_builds",
                                                 "drop_skipped_index",
                                                 "record_build_start",
                                                 "refuse_index",
                                                 "drop_invalid_index",
                                                 "build_index",
                                                 "build_index_plain",
                                                 "record_built_index",
                                                 "reinstall_barrier",
                                                 "wait_for_fetches",
                                                 "close_barrier",
                                                 "begin_batches",
                                                 "run_batch",
                                                 "execute"};
static_assert(names.size() == static_cast<std::size_t>(Action::execute) + 1);

// The history says first that an index of this name is ours; a call that is ended may leave it
// invalid.
Action next_of_build(const State &state)
{
    if (!state.is_under_way)
        return Action::record_build_start;
    if (!state.are_builds_locked)
        return Action::lock_builds;
    switch (state.index)
    {
    case IndexState::on_another_table:
        return Action::refuse_index;
    case IndexState::invalid:
        return Action::drop_invalid_index;
    case IndexState::valid:
        return Action::record_built_index;
    case IndexState::absent:
        break;
    }
    return state.method == IndexMethod::concurrently ? Action::build_index
                                                     : Action::build_index_plain;
}

// The columns change only while the barrier is closed: a fetch that runs meanwhile would fail
// (42804).
Action next_behind_barrier(const State &state)
{
    if (state.barrier == BarrierState::closed)
        return Action::execute;
    if (state.barrier == BarrierState::outdated)
        return Action::reinstall_barrier;
    return state.are_fetches_over ? Action::close_barrier : Action::wait_for_fetches;
}

} // namespace

Action next_action(const Step &step, const State &state)
{
    if (state.is_target_reached)
        return Action::finish;
    if (state.unit == Unit::installation)
        return Action::install;
    // Once a step is done, what it would protect has been changed already.
    if (state.unit == Unit::step && !state.is_under_way)
    {
        if (!state.is_unused)
            return Action::check_use;
        if (!state.are_names_free)
            return Action::check_names;
    }
    if (!state.is_announced)
        return Action::announce_step;
    if (state.has_skipped_index)
        return state.are_builds_locked ? Action::drop_skipped_index : Action::lock_builds;
    if (step.kind == StepKind::concurrent)
        return next_of_build(state);
    if (step.barrier == Step::close)
        return next_behind_barrier(state);
    if (step.kind == StepKind::batched)
        return state.are_batches_begun ? Action::run_batch : Action::begin_batches;
    return Action::execute;
}

std::string_view name_of(Action action) { return names[static_cast<std::size_t>(action)]; }

} // namespace procrastinate::online
