// The next action of an online run, over every combination of states and kinds of steps.
#include "online/next_action.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <sstream>

namespace
{

using namespace procrastinate::online;
using procrastinate::chain::Step;
using procrastinate::chain::StepKind;

Step step_of(StepKind kind, decltype(Step::barrier) barrier)
{
    Step step{};
    step.revision = 25;
    step.number = 2;
    step.count = 3;
    step.kind = kind;
    step.barrier = barrier;
    return step;
}

// The steps that migrations can have: the barrier is around brief steps only.
std::vector<Step> all_steps()
{
    std::vector<Step> steps;
    for (const auto barrier : {Step::none, Step::install, Step::close, Step::remove})
        steps.push_back(step_of(StepKind::brief, barrier));
    for (const StepKind kind : {StepKind::batched, StepKind::concurrent, StepKind::validated})
        steps.push_back(step_of(kind, Step::none));
    return steps;
}

constexpr std::array flags{
    &State::is_target_reached, &State::is_under_way,     &State::is_unused,
    &State::are_names_free,    &State::is_announced,     &State::has_skipped_index,
    &State::are_builds_locked, &State::are_fetches_over, &State::are_batches_begun};

void for_each_state(const std::function<void(const Step &, const State &)> &visit)
{
    for (const Step &step : all_steps())
        for (unsigned bits = 0; bits < 1U << flags.size(); ++bits)
            for (const Unit unit : {Unit::installation, Unit::migration, Unit::step})
                for (const IndexState index : {IndexState::absent, IndexState::invalid,
                                               IndexState::valid, IndexState::on_another_table})
                    for (const IndexMethod method : {IndexMethod::concurrently, IndexMethod::plain})
                        for (const BarrierState barrier :
                             {BarrierState::outdated, BarrierState::installed,
                              BarrierState::closed})
                        {
                            State state;
                            for (std::size_t i = 0; i < flags.size(); ++i)
                                state.*flags[i] = (bits >> i & 1U) != 0;
                            state.unit = unit;
                            state.index = index;
                            state.method = method;
                            state.barrier = barrier;
                            visit(step, state);
                        }
}

std::string text_of(const Step &step, const State &state)
{
    std::ostringstream text;
    text << procrastinate::chain::kind_name(step.kind) << ", barrier " << step.barrier << ", unit "
         << static_cast<int>(state.unit) << ", index " << static_cast<int>(state.index)
         << ", method " << static_cast<int>(state.method) << ", barrier state "
         << static_cast<int>(state.barrier) << ", flags ";
    for (const auto flag : flags)
        text << (state.*flag ? '1' : '0');
    return text.str();
}

// What holds after the action within the same transaction; nothing if the loop observes anew or
// ends.
bool apply(Action action, State &state)
{
    switch (action)
    {
    case Action::check_use:
        state.is_unused = true;
        return true;
    case Action::check_names:
        state.are_names_free = true;
        return true;
    case Action::announce_step:
        state.is_announced = true;
        return true;
    case Action::lock_builds:
        state.are_builds_locked = true;
        return true;
    case Action::wait_for_fetches:
        state.are_fetches_over = true;
        return true;
    case Action::begin_batches:
        state.are_batches_begun = true;
        return true;
    default:
        return false;
    }
}

bool is_in(Action action, const std::set<Action> &actions) { return actions.contains(action); }

// Each rule is asked of every state. A rule that never applies tests nothing, so that is a failure,
// too.
class EveryState : public testing::Test
{
  protected:
    static void expect(const std::function<bool(const Step &, const State &, Action)> &applies,
                       const std::function<bool(const Step &, const State &, Action)> &holds)
    {
        int applied = 0;
        for_each_state([&](const Step &step, const State &state) {
            const Action action = next_action(step, state);
            if (!applies(step, state, action))
                return;
            ++applied;
            EXPECT_TRUE(holds(step, state, action))
                << name_of(action) << " where " << text_of(step, state);
        });
        EXPECT_GT(applied, 0);
    }

    static void expect_only_if(const std::set<Action> &actions,
                               const std::function<bool(const Step &, const State &)> &holds)
    {
        for (const Action one : actions)
            expect(
                [one](const Step &, const State &, Action action) { return action == one; },
                [&](const Step &step, const State &state, Action) { return holds(step, state); });
    }
};

TEST_F(EveryState, ReachesEveryAction)
{
    std::set<Action> seen;
    for_each_state(
        [&](const Step &step, const State &state) { seen.insert(next_action(step, state)); });
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(Action::execute) + 1);
    std::set<std::string_view> names;
    for (const Action action : seen)
        names.insert(name_of(action));
    EXPECT_EQ(names.size(), seen.size());
}

TEST_F(EveryState, FinishesOnceTheTargetIsReached)
{
    expect([](const Step &, const State &state, Action) { return state.is_target_reached; },
           [](const Step &, const State &, Action action) { return action == Action::finish; });
    expect_only_if({Action::finish},
                   [](const Step &, const State &state) { return state.is_target_reached; });
}

TEST_F(EveryState, ChangesNothingBeforeTheChecks)
{
    const std::set<Action> checks{Action::finish, Action::check_use, Action::check_names};
    expect(
        [&](const Step &, const State &state, Action action) {
            return state.unit == Unit::step && !state.is_under_way && !is_in(action, checks);
        },
        [](const Step &, const State &state, Action) {
            return state.is_unused && state.are_names_free;
        });
}

TEST_F(EveryState, ChecksOnlyBeforeTheFirstStepOfAMigration)
{
    expect_only_if({Action::check_use, Action::check_names}, [](const Step &, const State &state) {
        return state.unit == Unit::step && !state.is_under_way;
    });
    expect_only_if({Action::check_use},
                   [](const Step &, const State &state) { return !state.is_unused; });
    expect_only_if({Action::check_names}, [](const Step &, const State &state) {
        return state.is_unused && !state.are_names_free;
    });
}

TEST_F(EveryState, ChangesNothingBeforeTheStepIsAnnounced)
{
    const std::set<Action> before{Action::finish, Action::install, Action::check_use,
                                  Action::check_names, Action::announce_step};
    expect([&](const Step &, const State &, Action action) { return !is_in(action, before); },
           [](const Step &, const State &state, Action) { return state.is_announced; });
}

TEST_F(EveryState, ChangesColumnsOnlyBehindAClosedBarrier)
{
    expect([](const Step &step, const State &,
              Action action) { return step.barrier == Step::close && action == Action::execute; },
           [](const Step &, const State &state, Action) {
               return state.barrier == BarrierState::closed;
           });
}

TEST_F(EveryState, ClosesTheBarrierOnceEarlierFetchesAreOver)
{
    expect_only_if({Action::close_barrier, Action::wait_for_fetches, Action::reinstall_barrier},
                   [](const Step &step, const State &state) {
                       return step.barrier == Step::close && state.barrier != BarrierState::closed;
                   });
    expect_only_if({Action::close_barrier}, [](const Step &, const State &state) {
        return state.are_fetches_over && state.barrier == BarrierState::installed;
    });
    expect_only_if({Action::wait_for_fetches},
                   [](const Step &, const State &state) { return !state.are_fetches_over; });
    expect_only_if({Action::reinstall_barrier}, [](const Step &, const State &state) {
        return state.barrier == BarrierState::outdated;
    });
}

TEST_F(EveryState, BuildsOnlyWithTheLockAndAfterTheStartIsRecorded)
{
    expect_only_if({Action::build_index, Action::build_index_plain, Action::record_built_index,
                    Action::drop_invalid_index, Action::refuse_index},
                   [](const Step &step, const State &state) {
                       return step.kind == StepKind::concurrent && state.is_under_way &&
                              state.are_builds_locked;
                   });
    expect_only_if({Action::record_build_start}, [](const Step &step, const State &state) {
        return step.kind == StepKind::concurrent && !state.is_under_way;
    });
}

TEST_F(EveryState, BuildsByWhatTheCatalogShows)
{
    expect_only_if({Action::build_index}, [](const Step &, const State &state) {
        return state.index == IndexState::absent && state.method == IndexMethod::concurrently;
    });
    expect_only_if({Action::build_index_plain}, [](const Step &, const State &state) {
        return state.index == IndexState::absent && state.method == IndexMethod::plain;
    });
    expect_only_if({Action::record_built_index}, [](const Step &, const State &state) {
        return state.index == IndexState::valid;
    });
    expect_only_if({Action::drop_invalid_index}, [](const Step &, const State &state) {
        return state.index == IndexState::invalid;
    });
    expect_only_if({Action::refuse_index}, [](const Step &, const State &state) {
        return state.index == IndexState::on_another_table;
    });
}

TEST_F(EveryState, ChangesNothingBeforeASkippedIndexIsGone)
{
    expect_only_if({Action::drop_skipped_index}, [](const Step &, const State &state) {
        return state.has_skipped_index && state.are_builds_locked;
    });
    expect([](const Step &, const State &state,
              Action) { return state.unit != Unit::installation && state.has_skipped_index; },
           [](const Step &, const State &, Action action) {
               return is_in(action, {Action::finish, Action::check_use, Action::check_names,
                                     Action::announce_step, Action::lock_builds,
                                     Action::drop_skipped_index});
           });
}

TEST_F(EveryState, LocksBuildsOnce)
{
    expect_only_if({Action::lock_builds}, [](const Step &step, const State &state) {
        return !state.are_builds_locked &&
               (state.has_skipped_index || step.kind == StepKind::concurrent);
    });
}

TEST_F(EveryState, RunsBatchesOfBatchedStepsOnly)
{
    expect_only_if({Action::run_batch, Action::begin_batches},
                   [](const Step &step, const State &) { return step.kind == StepKind::batched; });
    expect_only_if({Action::run_batch},
                   [](const Step &, const State &state) { return state.are_batches_begun; });
    expect_only_if({Action::begin_batches},
                   [](const Step &, const State &state) { return !state.are_batches_begun; });
    expect_only_if({Action::execute}, [](const Step &step, const State &) {
        return step.kind == StepKind::brief || step.kind == StepKind::validated;
    });
}

// No state makes the loop ask for ever without observing anew.
TEST_F(EveryState, ObservesAnewAfterAFewActions)
{
    for_each_state([](const Step &step, State state) {
        int actions = 1;
        while (apply(next_action(step, state), state))
            ASSERT_LT(++actions, 7) << text_of(step, state);
    });
}

std::string actions_of(const Step &step, State state)
{
    std::string names;
    for (;;)
    {
        const Action action = next_action(step, state);
        names.append(names.empty() ? "" : " ").append(name_of(action));
        if (!apply(action, state))
            return names;
    }
}

TEST(NextAction, OfAMigrationThatIsOneStep)
{
    EXPECT_EQ(actions_of(step_of(StepKind::brief, Step::none), {}),
              "check_use check_names announce_step execute");
}

TEST(NextAction, OfACallThatIsForced)
{
    State state;
    state.is_unused = true;
    EXPECT_EQ(actions_of(step_of(StepKind::brief, Step::none), state),
              "check_names announce_step execute");
}

TEST_F(EveryState, InstallsOnlyWhereNobodyWorks)
{
    expect([](const Step &, const State &state,
              Action) { return state.unit == Unit::installation && !state.is_target_reached; },
           [](const Step &, const State &, Action action) { return action == Action::install; });
    expect_only_if({Action::install}, [](const Step &, const State &state) {
        return state.unit == Unit::installation;
    });
}

TEST(NextAction, FromBaseEachMigrationIsExecutedAtOnce)
{
    State state;
    state.unit = Unit::migration;
    EXPECT_EQ(actions_of(step_of(StepKind::brief, Step::none), state), "announce_step execute");
}

TEST(NextAction, BehindTheBarrier)
{
    const Step step = step_of(StepKind::brief, Step::close);
    State state;
    state.is_under_way = true;
    EXPECT_EQ(actions_of(step, state), "announce_step wait_for_fetches close_barrier");
    state.are_fetches_over = true; // a try has failed
    EXPECT_EQ(actions_of(step, state), "announce_step close_barrier");
    state.barrier = BarrierState::outdated;
    EXPECT_EQ(actions_of(step, state), "announce_step reinstall_barrier");
    state.barrier = BarrierState::closed;
    EXPECT_EQ(actions_of(step, state), "announce_step execute");
    EXPECT_EQ(actions_of(step_of(StepKind::brief, Step::install), state), "announce_step execute");
}

TEST(NextAction, OfAnIndex)
{
    const Step step = step_of(StepKind::concurrent, Step::none);
    State state;
    EXPECT_EQ(actions_of(step, state), "check_use check_names announce_step record_build_start");
    state.is_under_way = true;
    EXPECT_EQ(actions_of(step, state), "announce_step lock_builds build_index");
    state.method = IndexMethod::plain;
    EXPECT_EQ(actions_of(step, state), "announce_step lock_builds build_index_plain");
    state.index = IndexState::invalid;
    EXPECT_EQ(actions_of(step, state), "announce_step lock_builds drop_invalid_index");
    state.index = IndexState::valid;
    EXPECT_EQ(actions_of(step, state), "announce_step lock_builds record_built_index");
    state.has_skipped_index = true;
    EXPECT_EQ(actions_of(step, state), "announce_step lock_builds drop_skipped_index");
}

TEST(NextAction, OfBatches)
{
    const Step step = step_of(StepKind::batched, Step::none);
    State state;
    state.is_under_way = true;
    EXPECT_EQ(actions_of(step, state), "announce_step begin_batches run_batch");
    state.are_batches_begun = true;
    EXPECT_EQ(actions_of(step, state), "announce_step run_batch");
}

} // namespace
