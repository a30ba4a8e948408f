#include "online/online_loop.hpp"

#include "online/index_build.hpp"
#include "online/session_markers.hpp"
#include "online/step_execution.hpp"
#include "server/fault_point.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/upgrade.hpp"

namespace procrastinate::online
{

namespace
{

// Fetches end within milliseconds; other transactions may last as long as they like, and are waited
// for no longer than this.
constexpr double longest_fetch = 500; // milliseconds

} // namespace

namespace spi = server::spi;
using chain::Step;
using upgrade::UpgradePath;

// ---- Checks -------------------------------------------------------------------------------------

Outcome OnlineLoop::finish(const UpgradePath &path)
{
    // If the target was resolved, this call or another session has run migrations since.
    if (!precheck_.is_target_resolved())
        upgrade::notice_nothing_to_do(installation_, path.current, path.target,
                                      precheck_.named_target());
    precheck_.as_owner([&] { version_table_warnings_.raise(installation_, path.current); });
    return Outcome::finished;
}

// In one transaction: nobody works in the schema yet.
Outcome OnlineLoop::install(const UpgradePath &path)
{
    if (retries_[LockRequest::installation].failures() == 0)
        upgrade::tell_of_installation();
    const bool is_done = try_briefly([&] {
        server::with_search_path(installation_.quoted.c_str(),
                                 [&] { upgrade::install_directly(installation_, path); });
    });
    if (!is_done)
        return try_later(installation_request());
    server::with_context("commit of the installation", [] { spi::commit(); });
    return Outcome::observe_anew;
}

Outcome OnlineLoop::check_use(Observation &seen)
{
    Use use{};
    if (!try_as_caller([&] {
            use =
                in_use_check_.check(installation_, precheck_.owner(), seen.step.revision, options_);
        }))
        return try_later(in_use_check_request());
    retries_[LockRequest::in_use_check].succeed();
    if (use == Use::none_seen)
    {
        seen.state.is_unused = true;
        return Outcome::ask_again;
    }
    step_log_.progress().show_no_blockers();
    spi::commit();
    step_log_.progress().tell_counting(seen.step);
    server::pause(200);
    return Outcome::observe_anew;
}

Outcome OnlineLoop::check_names(Observation &seen)
{
    require_free_names(installation_, seen.step.revision);
    seen.state.are_names_free = true;
    return Outcome::ask_again;
}

Outcome OnlineLoop::announce_step(Observation &seen)
{
    step_log_.begin(seen.step, seen.path.began);
    server::fault_point("before", seen.step.name());
    seen.state.is_announced = true;
    return Outcome::ask_again;
}

// ---- Steps in one transaction -------------------------------------------------------------------

Outcome OnlineLoop::execute(const LockRequest &request, std::string_view statements,
                            const Observation &seen)
{
    const bool is_done = precheck_.as_owner([&] {
        return execute_step(installation_, request, statements, seen.path, options_.lock_timeout,
                            step_log_);
    });
    return is_done ? end(seen.step) : try_later(request);
}

// Commits the step. With the barrier closed: waits for the clients that may have planned a fetch
// before the columns changed, and opens it.
Outcome OnlineLoop::end(const Step &step)
{
    server::fault_point("in", step.name());
    // A commit can fail, for example if the queue of notifications is full.
    server::with_context("commit of " + step_label(step), [] { spi::commit(); });
    succeed();
    ended_ = step;
    begun_.reset();
    if (barrier_.is_closed())
    {
        // A cancel or termination now would open the barrier too early.
        const server::HeldInterrupts held;
        server::fault_point("held", step.name());
        wait_for_running_clients(longest_fetch);
        barrier_.open();
    }
    if (step.number == step.count)
        precheck_.migration_ended(step.revision);
    step_log_.end(step);
    server::fault_point("after", step.name());
    return Outcome::observe_anew;
}

// ---- The fetch barrier --------------------------------------------------------------------------

Outcome OnlineLoop::reinstall_barrier(const Step &step)
{
    const bool is_installed = try_briefly([&] {
        upgrade::set_script_settings();
        install_fetch_barrier(installation_);
    });
    if (!is_installed)
        return try_later(request_of(step));
    spi::commit();
    fetches_over_for_.clear();
    return Outcome::observe_anew;
}

// Fetches that began before the barrier was installed do not share its lock. Once for each step.
Outcome OnlineLoop::wait_for_fetches(Observation &seen)
{
    spi::commit();
    wait_for_running_clients(longest_fetch);
    fetches_over_for_ = seen.step.name();
    seen.state.are_fetches_over = true;
    return Outcome::ask_again;
}

Outcome OnlineLoop::close_barrier(const Step &step)
{
    spi::commit(); // no other session waits for the installation's lock meanwhile
    LockRetry &retry = retries_[LockRequest::step];
    bool is_closed = false;
    with_lock_timeout(retry.barrier_timeout(options_.lock_timeout),
                      [&] { precheck_.as_owner([&] { is_closed = barrier_.try_close(); }); });
    if (!is_closed)
        return try_later(request_of(step));
    closed_for_ = step;
    server::fault_point("closed", step.name());
    return Outcome::observe_anew;
}

// ---- Batches ------------------------------------------------------------------------------------

Outcome OnlineLoop::begin_batches(Observation &seen)
{
    throttle_.begin();
    const bool are_begun = try_briefly([&] {
        upgrade::lock_tables(installation_, seen.step.all_locks());
        batches_.begin(installation_, seen.step,
                       seen.path.under_way ? seen.path.under_way->position : std::nullopt);
    });
    if (!are_begun)
        return try_later(request_of(seen.step));
    seen.state.are_batches_begun = true;
    return Outcome::ask_again;
}

Outcome OnlineLoop::run_batch(const Step &step)
{
    const bool is_done = try_briefly([&] {
        upgrade::lock_tables(installation_, step.all_locks());
        server::with_search_path(installation_.quoted.c_str(), [&] {
            upgrade::set_script_settings();
            server::with_context(step_label(step), [&] { batches_.run(installation_, step); });
            // A batch that records no position is committed, too.
            server::with_search_path(nullptr,
                                     [&] { upgrade::require_no_shadowing_objects(installation_); });
            if (batches_.is_last())
                step_log_.record(step);
            else
                step_log_.record_position(step, {batches_.next(), batches_.last()},
                                          batches_.percent());
        });
    });
    if (!is_done)
        return try_later(request_of(step));
    batches_.committed();
    if (batches_.are_over())
        return end(step);
    server::with_context("commit of " + step_label(step), [] { spi::commit(); });
    succeed();
    server::fault_point("batch", step.name());
    step_log_.progress().tell_rows(step, batches_.percent(), batches_.changed());
    throttle_.pause_after(batches_.milliseconds());
    wait_for_replicas(step, step_log_.progress());
    return Outcome::observe_anew;
}

// ---- Index builds -------------------------------------------------------------------------------

// Once the lock is held, no other call changes the indexes.
Outcome OnlineLoop::lock_builds(Observation &seen)
{
    if (seen.builds.try_acquire())
    {
        seen.state.are_builds_locked = true;
        observe_indexes(seen);
        return Outcome::ask_again;
    }
    // Another call may build for long: nothing changes meanwhile.
    const std::string holder = holder_of_builds(installation_);
    return try_later(request_of(seen.step, {}),
                     "waiting for " + holder + ", which has the advisory lock of index builds");
}

Outcome OnlineLoop::record_build_start(const Step &step)
{
    const bool is_recorded = try_briefly([&] {
        upgrade::lock_tables(installation_, upgrade::Tables::history);
        server::with_search_path(installation_.quoted.c_str(),
                                 [&] { step_log_.record_start(step); });
    });
    if (!is_recorded)
        return try_later(request_of(step, {}));
    spi::commit();
    succeed();
    server::fault_point("recorded", step.name());
    return Outcome::observe_anew;
}

Outcome OnlineLoop::build_index(const Step &step)
{
    CallOptions without_worker = options_;
    without_worker.concurrently = false;
    const std::int64_t asked = server::now();
    const std::optional<std::string> error =
        build_concurrently(installation_, precheck_.owner(), step,
                           std::max(options_.lock_timeout, retries_[LockRequest::step].left()),
                           call_of(installation_.quoted_text, precheck_.target(), without_worker),
                           step_log_.progress());
    if (error)
        return try_later(request_of(step), error, asked);
    succeed();
    return Outcome::observe_anew;
}

// In a transaction of its own, since the lock keeps readers waiting.
Outcome OnlineLoop::drop_index(const Step &step)
{
    if (!try_briefly([&] { drop_invalid_index(installation_, step); }))
        return try_later(request_of(step, {{step.table, "ACCESS EXCLUSIVE"}}));
    spi::commit(); // no success yet: the next build may fail as this one did
    return Outcome::observe_anew;
}

} // namespace procrastinate::online
