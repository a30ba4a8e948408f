#include "online/migrate.hpp"

#include "online/batch.hpp"
#include "online/blockers.hpp"
#include "online/build.hpp"
#include "online/fetch_barrier.hpp"
#include "online/guard.hpp"
#include "online/logbook.hpp"
#include "online/lookout.hpp"
#include "online/pace.hpp"
#include "online/patience.hpp"
#include "online/perform.hpp"
#include "online/presence.hpp"
#include "online/short_locks.hpp"
#include "server/concurrent_build.hpp"
#include "server/fault_point.hpp"
#include "server/session_lock.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/upgrade_path.hpp"

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

class Course
{
  public:
    Course(const Installation &installation, std::string_view target, const Options &options)
        : installation_(installation), options_(options), lookout_(installation, target),
          barrier_(installation), patience_(options.retry_for), sight_(options.retry_for),
          scrutiny_(options.retry_for), logbook_(installation)
    {
    }

    // A transaction, or a few. False once there is nothing left to do.
    bool turn()
    {
        return spi::connected(spi::Mode::may_commit, [&] {
            const std::optional<UpgradePath> looked = look();
            if (!looked)
                return true;
            const UpgradePath &path = *looked;
            if (path.reached_target())
            {
                // Another session may have been faster with the rest, or with more.
                if (!lookout_.goal())
                    upgrade::tell_nothing_to_do(installation_, path.current);
                return false;
            }
            const Step step = lookout_.next_step(path);
            if (!lookout_.is_new() && !path.under_way)
            {
                if (!options_.force && !is_unused(step))
                    return true;
                require_free_names(installation_, step.revision);
            }
            logbook_.begin(step, path.began);
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
            with_short_locks(options_.lock_timeout,
                             [&] { server::with_search_path(nullptr, body); });
        });
    }

    // Waits for another session as long as that takes: none of it is spent on tries.
    template <typename Body> void wait(Body body)
    {
        const std::int64_t began = server::now();
        body();
        for (Patience *const patience : {&patience_, &sight_, &scrutiny_})
            patience->skip(server::now() - began);
    }

    // With the lock of the installation; nothing where others' locks are in the way: it has to be tried again.
    std::optional<UpgradePath> look()
    {
        // While there is no job for anybody, nobody else is waited for.
        const bool is_closed = barrier_.is_closed();
        if (!is_closed)
            wait([&] { server::with_search_path(nullptr, [&] { lookout_.enter(); }); });
        std::optional<UpgradePath> path;
        const bool is_seen = briefly([&] {
            if (is_closed)
                lookout_.enter();
            if (!lookout_.goal())
                guard_.begin(installation_);
            path = lookout_.look();
        });
        if (!is_seen)
        {
            is_closed ? try_later(*closed_for_) : look_later(sight_);
            return {};
        }
        sight_.succeed();
        return path;
    }

    // Whether nobody seems to need what a migration drops. False where it has to be asked again.
    bool is_unused(const Step &step)
    {
        bool is_unused = false;
        if (!briefly(
                [&] { is_unused = guard_.lets_through(installation_, step.revision, options_); }))
        {
            look_later(scrutiny_);
            return false;
        }
        scrutiny_.succeed();
        if (is_unused)
            return true;
        logbook_.progress().show_nobody();
        spi::commit();
        logbook_.progress().tell_counting(step);
        server::pause(200);
        return false;
    }

    void go(const Step &step, const UpgradePath &path)
    {
        if (const auto left = left_of_skipped(installation_, step, path))
            drop_left(*left);
        else if (step.kind == StepKind::concurrent && !path.under_way)
            set_out(step);
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
        return perform(installation_, step, path, options_.lock_timeout, logbook_);
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
            lookout_.arrive(step.revision);
        logbook_.end(step);
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
        with_short_locks(patience_.barrier_timeout(options_.lock_timeout),
                         [&] { (void)barrier_.try_close(); });
        if (!barrier_.is_closed())
            return try_later(step);
        closed_for_ = step;
        patience_.barrier_closed();
        server::fault_point("shut", step.name());
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
            pace_.begin();
        const bool is_done = briefly([&] {
            upgrade::lock_tables(installation_, locks);
            if (!batches_.is_at(step))
                batches_.begin(installation_, step,
                               path.under_way ? path.under_way->position : std::nullopt);
            server::with_search_path(installation_.quoted, [&] {
                upgrade::set_script_settings();
                server::with_context(label_of(step), [&] { batches_.run(installation_, step); });
                if (batches_.will_be_over())
                    logbook_.record(step);
                else
                    logbook_.record_position(step, batches_.next(), batches_.last());
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
        logbook_.progress().tell_rows(step, batches_.percent(), batches_.changed());
        pace_.rest(batches_.milliseconds());
        wait_for_replicas(step, logbook_.progress());
    }

    // An index that is being built, or that was not built to its end, is no stranger's.
    void set_out(const Step &step)
    {
        const bool is_recorded = briefly([&] {
            upgrade::lock_tables(installation_, upgrade::Tables::history);
            server::with_search_path(installation_.quoted,
                                     [&] { logbook_.record_setting_out(step); });
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
        server::SessionLock lock(build_class, installation_.schema);
        if (!may_build(lock, step))
            return;
        const server::IndexState state = state_of_build(installation_, step);
        if (state == server::IndexState::invalid)
            return drop_remains(step);
        if (state == server::IndexState::absent && options_.concurrently)
        {
            Options without_worker = options_;
            without_worker.concurrently = false;
            const std::string instead = call_of(installation_, lookout_.target(), without_worker);
            const std::optional<std::string> error =
                build_concurrently(installation_, step, instead, logbook_.progress());
            return error ? try_later(step.asking_for(step.all_locks()), patience_, error)
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
        logbook_.progress().show_nobody();
        tell_other_build(installation_, step, logbook_.progress());
        wait([] { server::pause(100); });
        return false;
    }

    void drop_left(const Step &step)
    {
        server::SessionLock lock(build_class, installation_.schema);
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
        patience_.succeed();
        logbook_.progress().show_nobody();
    }

    void try_later(const Step &step) { try_later(step, patience_); }
    void look_later(Patience &patience) { try_later(step_of_look(), patience); }

    // `error` is what a worker said.
    void try_later(const Step &step, Patience &patience,
                   const std::optional<std::string> &error = std::nullopt)
    {
        Blockers found{"Who is in the way could not be looked up in time.", {}};
        (void)briefly([&] { found = blockers(installation_, step, options_.lock_timeout); });
        patience.fail();
        barrier_.open();
        if (step.barrier == Step::close)
            notify_turned_away_workers(installation_, step.revision - 1, options_.lock_timeout);
        spi::commit();
        if (patience.is_over())
            give_up(installation_, step, lookout_.target(), options_, patience,
                    error.value_or(found.text));
        logbook_.progress().tell_waiting(step, patience.failures(), found.pids, error.value_or(""));
        patience.pause();
    }

    const Installation &installation_;
    const Options &options_;
    Lookout lookout_;
    FetchBarrier barrier_;
    std::optional<Step> closed_for_;
    std::string waited_before_; // a step, for those on their way
    Patience patience_;         // with steps
    Patience sight_;            // with looks, which may go well between the tries of a step
    Patience scrutiny_;         // with looks for who needs what a migration drops, as well
    Batches batches_;
    Pace pace_;
    Logbook logbook_;
    Guard guard_;
};

} // namespace

void migrate(const Installation &installation, std::string_view target, const Options &options)
{
    const Presence presence(at_work_class, installation.schema);
    Course course(installation, target, options);
    while (course.turn())
    {
    }
}

} // namespace procrastinate::online
