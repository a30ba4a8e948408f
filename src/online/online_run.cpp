#include "online/online_run.hpp"

#include "online/batches.hpp"
#include "online/blockers.hpp"
#include "online/fetch_barrier.hpp"
#include "online/in_use_check.hpp"
#include "online/index_build.hpp"
#include "online/lock_retry.hpp"
#include "online/lock_timeout_scope.hpp"
#include "online/precheck.hpp"
#include "online/session_markers.hpp"
#include "online/step_execution.hpp"
#include "online/step_log.hpp"
#include "online/throttle.hpp"
#include "server/concurrent_build.hpp"
#include "server/fault_point.hpp"
#include "server/session_lock.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/script_execution.hpp"

#include <vector>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;
using catalog::Installation;
using chain::Step;
using chain::StepKind;
using upgrade::UpgradePath;

// Longest that a fetch which came before the barrier is waited for, beside transactions that take as long as
// they like and are no fetches.
constexpr double longest_on_the_way = 500;

class OnlineRun
{
  public:
    OnlineRun(const Installation &installation, std::string_view target, const CallOptions &options)
        : installation_(installation), options_(options), precheck_(installation, target),
          barrier_(installation), lock_retry_(options.retry_for),
          precheck_retry_(options.retry_for), in_use_retry_(options.retry_for),
          step_log_(installation)
    {
    }

    // A transaction, or a few. False once there is nothing left to do.
    bool iterate()
    {
        return spi::connected(spi::Mode::may_commit, [&] {
            const std::optional<UpgradePath> looked = look();
            if (!looked)
                return true;
            const UpgradePath &path = *looked;
            if (path.reached_target())
            {
                // Another session may have been faster with the rest, or with more.
                if (!precheck_.goal())
                    upgrade::notice_nothing_to_do(installation_, path.current);
                return false;
            }
            const Step step = precheck_.next_step(path);
            if (!precheck_.is_new() && !path.under_way)
            {
                if (!options_.force && !is_unused(step))
                    return true;
                require_free_names(installation_, step.revision);
            }
            step_log_.begin(step, path.began);
            server::fault_point("before", step.name());
            go(step, path);
            return true;
        });
    }

  private:
    // False where it could not have a lock in time: nothing has been done then.
    template <typename Body> bool briefly(Body body)
    {
        return server::attempt([&] {
            with_lock_timeout(options_.lock_timeout,
                              [&] { server::with_search_path(nullptr, body); });
        });
    }

    // Waits for another session as long as that takes: none of it is spent on tries.
    template <typename Body> void wait(Body body)
    {
        const std::int64_t began = server::now();
        body();
        for (LockRetry *const lock_retry : {&lock_retry_, &precheck_retry_, &in_use_retry_})
            lock_retry->skip(server::now() - began);
    }

    // With the lock of the installation; nothing where others' locks are in the way: it has to be tried again.
    std::optional<UpgradePath> look()
    {
        // While there is no job for anybody, nobody else is waited for.
        const bool is_closed = barrier_.is_closed();
        if (!is_closed)
            wait([&] { server::with_search_path(nullptr, [&] { precheck_.enter(); }); });
        std::optional<UpgradePath> path;
        const bool is_seen = briefly([&] {
            if (is_closed)
                precheck_.enter();
            if (!precheck_.goal())
                in_use_check_.begin(installation_);
            path = precheck_.look();
        });
        if (!is_seen)
        {
            is_closed ? try_later(*closed_for_) : look_later(precheck_retry_);
            return {};
        }
        precheck_retry_.succeed();
        return path;
    }

    // Whether nobody seems to need what a migration drops. False where it has to be asked again.
    bool is_unused(const Step &step)
    {
        bool is_unused = false;
        if (!briefly(
                [&] { is_unused = in_use_check_.allows(installation_, step.revision, options_); }))
        {
            look_later(in_use_retry_);
            return false;
        }
        in_use_retry_.succeed();
        if (is_unused)
            return true;
        step_log_.progress().show_nobody();
        spi::commit();
        step_log_.progress().tell_counting(step);
        server::pause(200);
        return false;
    }

    void go(const Step &step, const UpgradePath &path)
    {
        if (const auto left = skipped_invalid_index(installation_, step, path))
            drop_left(*left);
        else if (step.kind == StepKind::concurrent && !path.under_way)
            record_build_start(step);
        else if (step.kind == StepKind::concurrent)
            build(step, path);
        else if (step.barrier == Step::close && !barrier_.is_closed())
            close_barrier(step);
        else if (step.kind == StepKind::batched)
            batch(step, path);
        else if (run(step, path))
            end(step);
        else
            try_later(step);
    }

    // ---- Brief steps, and those that take long ---------------------------------------------------

    bool run(const Step &step, const UpgradePath &path)
    {
        return execute_step(installation_, step, path, options_.lock_timeout, step_log_);
    }

    // It is done, and the transaction with it.
    void end(const Step &step)
    {
        server::fault_point("in", step.name());
        // Deferred triggers and constraints of users speak up here.
        server::with_context("commit of " + label_of(step), [] { spi::commit(); });
        succeed();
        if (barrier_.is_closed())
        {
            // Whatever ends the call now would open the barrier to those who are on their way with the old columns.
            const server::HeldInterrupts held;
            server::fault_point("held", step.name());
            wait_for_clients(longest_on_the_way);
            barrier_.open();
        }
        if (step.number == step.count)
            precheck_.arrive(step.revision);
        step_log_.end(step);
        server::fault_point("after", step.name());
    }

    // ---- The barrier ---------------------------------------------------------------------------------

    void close_barrier(const Step &step)
    {
        if (!require_barrier(step))
            return;
        // Those who are on their way by functions without a barrier.
        spi::commit();
        if (waited_before_ != step.name())
            wait_for_clients(longest_on_the_way);
        waited_before_ = step.name();
        with_lock_timeout(lock_retry_.barrier_timeout(options_.lock_timeout),
                          [&] { (void)barrier_.try_close(); });
        if (!barrier_.is_closed())
            return try_later(step);
        closed_for_ = step;
        lock_retry_.barrier_closed();
        server::fault_point("closed", step.name());
    }

    // A dump has the functions as they were. False where it has to be tried later.
    bool require_barrier(const Step &step)
    {
        const bool is_there = briefly([&] {
            if (reinstall_fetch_barrier(installation_))
                waited_before_.clear();
        });
        if (!is_there)
            try_later(step);
        return is_there;
    }

    // ---- Batches ----------------------------------------------------------------------------------

    void batch(const Step &step, const UpgradePath &path)
    {
        const std::vector<chain::StepLock> locks = step.all_locks();
        if (!batches_.is_at(step))
            throttle_.begin();
        const bool is_done = briefly([&] {
            upgrade::lock_tables(installation_, locks);
            if (!batches_.is_at(step))
                batches_.begin(installation_, step,
                               path.under_way ? path.under_way->position : std::nullopt);
            server::with_search_path(installation_.quoted, [&] {
                upgrade::set_script_settings();
                server::with_context(label_of(step), [&] { batches_.run(installation_, step); });
                if (batches_.will_be_over())
                    step_log_.record(step);
                else
                    step_log_.record_position(step, batches_.next(), batches_.last());
            });
        });
        if (!is_done)
            return try_later(step);
        batches_.keep();
        if (batches_.is_over())
            return end(step);
        server::with_context("commit of " + label_of(step), [] { spi::commit(); });
        succeed();
        server::fault_point("amid", step.name());
        step_log_.progress().tell_rows(step, batches_.percent(), batches_.changed());
        throttle_.rest(batches_.milliseconds());
        wait_for_replicas(step, step_log_.progress());
    }

    // An index that is being built, or that was not built to its end, is no stranger's.
    void record_build_start(const Step &step)
    {
        const bool is_recorded = briefly([&] {
            upgrade::lock_tables(installation_, upgrade::Tables::history);
            server::with_search_path(installation_.quoted, [&] { step_log_.record_start(step); });
        });
        if (!is_recorded)
            return try_later(step.asking_for({}));
        spi::commit();
        succeed();
        server::fault_point("set out", step.name());
    }

    // ---- Builds -----------------------------------------------------------------------------------

    void build(const Step &step, const UpgradePath &path)
    {
        server::SessionLock lock(server::LockKey::index_build, installation_.schema);
        if (!may_build(lock, step))
            return;
        const server::IndexState state = state_of_build(installation_, step);
        if (state == server::IndexState::invalid)
            return drop_remains(step);
        if (state == server::IndexState::absent && options_.concurrently)
        {
            CallOptions without_worker = options_;
            without_worker.concurrently = false;
            const std::string instead = call_of(installation_, precheck_.target(), without_worker);
            const std::optional<std::string> error =
                build_concurrently(installation_, step, instead, step_log_.progress());
            return error ? try_later(step.asking_for(step.all_locks()), lock_retry_, error)
                         : succeed();
        }
        // Where it has been built by now, by whomever, what is left is to say so.
        Step rest = step;
        rest.sql = {};
        std::string plain;
        if (state == server::IndexState::absent)
        {
            plain = plain_build(step);
            rest = step.asking_for({{step.indexed(), "SHARE"}});
            rest.sql = plain;
        }
        return run(rest, path) ? end(step) : try_later(step.asking_for(rest.locks));
    }

    bool may_build(server::SessionLock &lock, const Step &step)
    {
        if (lock.try_acquire())
            return true;
        step_log_.progress().show_nobody();
        tell_other_build(installation_, step, step_log_.progress());
        wait([] { server::pause(100); });
        return false;
    }

    void drop_left(const Step &step)
    {
        server::SessionLock lock(server::LockKey::index_build, installation_.schema);
        if (may_build(lock, step))
            drop_remains(step);
    }

    // Of a build that was ended; in a transaction of its own, as it keeps readers out.
    void drop_remains(const Step &step)
    {
        const bool is_gone = briefly([&] { drop_invalid_index(installation_, step); });
        if (!is_gone)
            return try_later(step.asking_for({{step.indexed(), "ACCESS EXCLUSIVE"}}));
        spi::commit(); // the next build may be lost as well: no success yet
    }

    // ---- Another time -----------------------------------------------------------------------------

    void succeed()
    {
        lock_retry_.succeed();
        step_log_.progress().show_nobody();
    }

    void try_later(const Step &step) { try_later(step, lock_retry_); }
    void look_later(LockRetry &lock_retry) { try_later(precheck_step(), lock_retry); }

    // `error` is what a worker said.
    void try_later(const Step &step, LockRetry &lock_retry,
                   const std::optional<std::string> &error = std::nullopt)
    {
        Blockers found{"Who is in the way could not be looked up in time.", {}};
        (void)briefly([&] { found = blockers(installation_, step, options_.lock_timeout); });
        lock_retry.fail();
        barrier_.open();
        if (step.barrier == Step::close)
            notify_turned_away_workers(installation_, step.revision - 1, options_.lock_timeout);
        spi::commit();
        if (lock_retry.is_over())
            give_up(installation_, step, precheck_.target(), options_, lock_retry,
                    error.value_or(found.text));
        step_log_.progress().tell_waiting(step, lock_retry.failures(), found.pids,
                                          error.value_or(""));
        lock_retry.pause();
    }

    const Installation &installation_;
    const CallOptions &options_;
    Precheck precheck_;
    FetchBarrier barrier_;
    std::optional<Step> closed_for_;
    std::string waited_before_; // a step, for those on their way
    LockRetry lock_retry_;      // with steps
    LockRetry precheck_retry_;  // with looks, which may go well between the tries of a step
    LockRetry in_use_retry_;    // with looks for who needs what a migration drops, as well
    Batches batches_;
    Throttle throttle_;
    StepLog step_log_;
    InUseCheck in_use_check_;
};

} // namespace

void migrate(const Installation &installation, std::string_view target, const CallOptions &options)
{
    const SessionMarker marker(server::LockKey::running, installation.schema);
    OnlineRun run(installation, target, options);
    while (run.iterate())
    {
    }
}

} // namespace procrastinate::online
