// The loop of an online run: observes the installation, asks next_action(), and does what it
// answers. online_run.cpp has the loop, the observing and the lock retries; online_actions.cpp has
// the actions.
#pragma once

#include "online/batches.hpp"
#include "online/fetch_barrier.hpp"
#include "online/in_use_check.hpp"
#include "online/lock_retry.hpp"
#include "online/lock_timeout_scope.hpp"
#include "online/next_action.hpp"
#include "online/online_precheck.hpp"
#include "online/step_log.hpp"
#include "online/throttle.hpp"
#include "server/session_lock.hpp"
#include "server/subtransaction.hpp"
#include "server/timeouts.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::online
{

// How to go on after an action.
enum class Outcome
{
    ask_again,    // for the next action, with what is known
    observe_anew, // in a new iteration
    finished
};

// What one transaction has observed.
struct Observation
{
    upgrade::UpgradePath path;
    chain::Step step;                         // the first that is left
    std::optional<chain::Step> skipped_index; // the step of State::has_skipped_index
    State state;
    server::SessionLock builds; // the advisory lock of index builds; released with the object
};

class OnlineLoop
{
  public:
    OnlineLoop(const catalog::Installation &installation, std::string_view target,
               const CallOptions &options);

    // A transaction, or a few. Returns false once the target is reached.
    bool iterate();

    // For an error by statement_timeout.
    server::Explanation how_far() const;

  private:
    // The path to the target, with the installation's lock; nothing if locks could not be had.
    std::optional<upgrade::UpgradePath> read_path();
    // Fills `seen` from its path. Returns false if locks could not be had.
    bool observe(Observation &seen);
    void observe_indexes(Observation &seen);

    Outcome perform(Action action, Observation &seen);

    Outcome finish(const upgrade::UpgradePath &path);
    Outcome install(const upgrade::UpgradePath &path);
    Outcome check_use(Observation &seen);
    Outcome check_names(Observation &seen);
    Outcome announce_step(Observation &seen);
    Outcome lock_builds(Observation &seen);
    Outcome drop_index(const chain::Step &step);
    Outcome record_build_start(const chain::Step &step);
    Outcome build_index(const chain::Step &step);
    Outcome reinstall_barrier(const chain::Step &step);
    Outcome wait_for_fetches(Observation &seen);
    Outcome close_barrier(const chain::Step &step);
    Outcome begin_batches(Observation &seen);
    Outcome run_batch(const chain::Step &step);
    Outcome execute(const LockRequest &request, std::string_view statements,
                    const Observation &seen);

    // Throws Refusal PM010 if this call has ended the step before: its row of the history is gone.
    void require_progress(const chain::Step &step) const;
    // Commits the last transaction of a step.
    Outcome end(const chain::Step &step);
    // The step's locks could be had: its retries and the blockers shown so far are over.
    void succeed();
    // Locks could not be had. Opens the barrier, shows the blockers to caller and other sessions,
    // and pauses; throws Refusal 55P03 once options.retry_for is over. `error`: what a background
    // worker said; `asked`: when it began to wait.
    Outcome try_later(const LockRequest &request, const std::optional<std::string> &error = {},
                      std::optional<std::int64_t> asked = {});

    // Runs `body` in a subtransaction, as the installation's owner. Returns false if a lock could
    // not be had within options.lock_timeout: nothing has been done then.
    template <typename Body> bool try_briefly(Body body)
    {
        return try_as_caller([&] { precheck_.as_owner(body); });
    }
    // The same as the caller, for what runs no code of other roles.
    template <typename Body> bool try_as_caller(Body body)
    {
        return server::attempt([&] {
            with_lock_timeout(options_.lock_timeout,
                              [&] { server::with_search_path(nullptr, body); });
        });
    }

    const catalog::Installation &installation_;
    const CallOptions &options_;
    OnlinePrecheck precheck_;
    InUseCheck in_use_check_;
    FetchBarrier barrier_;
    std::optional<chain::Step> closed_for_; // the step that closed the barrier last
    std::optional<chain::Step> begun_;      // the step that this call is at
    std::optional<chain::Step> ended_;      // the last step that this call has ended
    std::string fetches_over_for_; // name of the step that has waited for the fetches before it
    LockRetries retries_;
    Batches batches_;
    Throttle throttle_;
    StepLog step_log_;
    upgrade::VersionTableWarnings version_table_warnings_;
};

} // namespace procrastinate::online
