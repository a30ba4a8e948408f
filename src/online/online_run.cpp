#include "online/online_run.hpp"

#include "common/findings.hpp"
#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "online/blockers.hpp"
#include "online/index_build.hpp"
#include "online/online_loop.hpp"
#include "online/session_markers.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/acting_role.hpp"

namespace procrastinate::online
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Step;
using upgrade::UpgradePath;

OnlineLoop::OnlineLoop(const Installation &installation, std::string_view target,
                       const CallOptions &options)
    : installation_(installation), options_(options), precheck_(installation, target),
      barrier_(installation), retries_(options.retry_for), step_log_(installation)
{
}

bool OnlineLoop::iterate()
{
    return spi::connected(spi::Mode::may_commit, [&] {
        const std::optional<UpgradePath> path = read_path();
        if (!path)
            return true;
        Observation seen{*path, {}, {}, {}, {server::LockKey::index_build, installation_.schema}};
        if (!observe(seen))
            return true;
        Outcome outcome{};
        do
            outcome = perform(next_action(seen.step, seen.state), seen);
        while (outcome == Outcome::ask_again);
        return outcome == Outcome::observe_anew;
    });
}

// ---- Observing ----------------------------------------------------------------------------------

std::optional<UpgradePath> OnlineLoop::read_path()
{
    const bool is_closed = barrier_.is_closed();
    std::optional<UpgradePath> path;
    const bool is_read = try_as_caller([&] {
        precheck_.lock_installation();
        if (!precheck_.is_target_resolved())
            in_use_check_.begin(installation_);
        precheck_.as_owner([&] { path = precheck_.read_path(); });
    });
    if (!is_read)
    {
        try_later(is_closed ? request_of(*closed_for_) : precheck_request());
        return {};
    }
    retries_[LockRequest::precheck].succeed();
    return path;
}

bool OnlineLoop::observe(Observation &seen)
{
    State &state = seen.state;
    state.is_target_reached = seen.path.reached_target();
    if (state.is_target_reached)
        return true;
    seen.step = precheck_.next_step(seen.path);
    require_progress(seen.step);
    begun_ = seen.step;
    state.unit = precheck_.unit();
    state.is_under_way = seen.path.under_way.has_value();
    state.is_unused = options_.force;
    state.method = options_.concurrently ? IndexMethod::concurrently : IndexMethod::plain;
    state.are_fetches_over = fetches_over_for_ == seen.step.name();
    state.are_batches_begun = batches_.are_of(seen.step);
    observe_indexes(seen);
    if (options_.concurrently && seen.step.kind == chain::StepKind::concurrent &&
        state.index == IndexState::absent &&
        !try_briefly([&] { state.method = method_for_size(installation_, seen.step); }))
    {
        try_later(request_of(seen.step));
        return false;
    }
    if (barrier_.is_closed())
        state.barrier = BarrierState::closed;
    else if (seen.step.barrier == Step::close)
    {
        bool is_outdated = false;
        if (!try_briefly([&] { is_outdated = is_fetch_barrier_outdated(installation_); }))
        {
            try_later(request_of(seen.step));
            return false;
        }
        state.barrier = is_outdated ? BarrierState::outdated : BarrierState::installed;
    }
    return true;
}

void OnlineLoop::require_progress(const Step &step) const
{
    if (!ended_ ||
        std::pair(step.revision, step.number) > std::pair(ended_->revision, ended_->number))
        return;
    throw common::Refusal{
        common::sqlstate::untrusted_object,
        "the history of " + catalog::in_schema(installation_) + " does not have " +
            step_label(*ended_) + " any more",
        "This call has recorded the step, and the row has been removed since. The call would run "
        "the step again and again.",
        "To see the history: SELECT * FROM " + common::own_function("procrastinate_log") +
            "(schema => " + installation_.quoted_text + ");"};
}

void OnlineLoop::observe_indexes(Observation &seen)
{
    seen.state.index = index_state_of(installation_, seen.step);
    seen.skipped_index = skipped_invalid_index(installation_, seen.step, seen.path);
    seen.state.has_skipped_index = seen.skipped_index.has_value();
}

// ---- Acting -------------------------------------------------------------------------------------

Outcome OnlineLoop::perform(Action action, Observation &seen)
{
    const Step &step = seen.step;
    switch (action)
    {
    case Action::finish:
        return finish(seen.path);
    case Action::install:
        return install(seen.path);
    case Action::check_use:
        return check_use(seen);
    case Action::check_names:
        return check_names(seen);
    case Action::announce_step:
        return announce_step(seen);
    case Action::lock_builds:
        return lock_builds(seen);
    case Action::drop_skipped_index:
        return drop_index(*seen.skipped_index);
    case Action::record_build_start:
        return record_build_start(step);
    case Action::refuse_index:
        refuse_index(installation_, step);
    case Action::drop_invalid_index:
        return drop_index(step);
    case Action::build_index:
        return build_index(step);
    case Action::build_index_plain:
        return execute(request_of(step, {{step.table, "SHARE"}}), plain_build(step), seen);
    case Action::record_built_index:
        return execute(request_of(step, {}), {}, seen);
    case Action::reinstall_barrier:
        return reinstall_barrier(step);
    case Action::wait_for_fetches:
        return wait_for_fetches(seen);
    case Action::close_barrier:
        return close_barrier(step);
    case Action::begin_batches:
        return begin_batches(seen);
    case Action::run_batch:
        return run_batch(step);
    case Action::execute:
        break;
    }
    return execute(request_of(step), step.sql, seen);
}

void OnlineLoop::succeed()
{
    retries_[LockRequest::step].succeed();
    step_log_.progress().show_no_blockers();
}

Outcome OnlineLoop::try_later(const LockRequest &request, const std::optional<std::string> &error,
                              std::optional<std::int64_t> asked)
{
    Blockers found{"The blockers could not be looked up within lock_timeout.", {}};
    (void)try_as_caller(
        [&] { found = blockers_of(installation_, request, options_.lock_timeout); });
    LockRetry &retry = retries_[request.purpose];
    retry.fail(asked);
    barrier_.open();
    if (request.locks_barrier())
        precheck_.as_owner([&] {
            // The columns are as before until the barrier has been closed.
            const bool is_before = request.of_step.barrier == Step::close;
            notify_workers_briefly(
                installation_, is_before ? request.of_step.revision - 1 : request.of_step.revision,
                options_.lock_timeout);
        });
    spi::commit();
    if (retry.is_over())
        give_up(installation_, request, precheck_.target(), options_, retry,
                error ? common::sentence(*error) : found.text);
    step_log_.progress().tell_waiting(request, retry.failures(), found.pids, error.value_or(""));
    retry.pause();
    return Outcome::observe_anew;
}

server::Explanation OnlineLoop::how_far() const
{
    return {(begun_ ? "The call was at " + step_label(*begun_) + ". " : std::string()) +
                (ended_ ? "The last step that it has completed is " + step_label(*ended_) + "."
                        : "It has completed no step.") +
                " What it has committed stays, and the next call continues from there.",
            call_of(installation_.quoted_text, precheck_.target(), options_)};
}

void migrate(const Installation &installation, std::string_view target, const CallOptions &options)
{
    // Other sessions are shown only calls of roles that may change the installation.
    (void)upgrade::require_acting_role(installation);
    const SessionMarker marker(server::LockKey::running, installation.schema);
    OnlineLoop loop(installation, target, options);
    server::explaining_statement_timeout(
        [&] {
            while (loop.iterate())
            {
            }
        },
        [&] { return loop.how_far(); });
}

} // namespace procrastinate::online
