#include "fleet/fleet_run.hpp"

#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "online/session_markers.hpp"
#include "server/messages.hpp"
#include "server/pause.hpp"
#include "server/spi.hpp"

#include <algorithm>
#include <vector>

namespace procrastinate::fleet
{

namespace
{

namespace spi = server::spi;

constexpr int most_failures_told = 20;
constexpr double poll_interval = 100; // milliseconds; the end of a worker wakes the session earlier

struct Begun
{
    Work work;
    std::unique_ptr<RunningWork> run;
    std::int64_t since;
};

class FleetRun
{
  public:
    FleetRun(std::string_view kind, std::deque<Work> works, const FleetOptions &options)
        : kind_(kind), waiting_(std::move(works)), options_(options),
          count_(static_cast<int>(waiting_.size()))
    {
    }

    void run()
    {
        run_some(1, std::min(options_.canary, count_));
        // A canary is there to stop the rest.
        has_failed_canary_ = failures_.any();
        is_stopped_ = has_failed_canary_;
        run_some(options_.workers, count_);
        if (failures_.any())
            refuse();
    }

  private:
    // So many at a time, until so many have been begun.
    void run_some(int workers, int last)
    {
        while (!running_.empty() || (begun_ < last && !is_stopped_))
        {
            while (begun_ < last && !is_stopped_ && static_cast<int>(running_.size()) < workers)
                if (!start())
                    break;
            if (running_.empty())
                wait_for_place();
            else
                no_place_since_.reset();
            end_transaction();
            server::pause_until_woken(poll_interval);
            end_what_has_ended();
        }
    }

    // An index build that has met a snapshot of this session waits for the end of the transaction,
    // even if the snapshot was given back long ago. To start a worker needs one for a moment.
    static void end_transaction()
    {
        spi::connected(spi::Mode::may_commit, [] { spi::commit(); });
    }

    // Returns false if there is no place now.
    bool start()
    {
        std::unique_ptr<RunningWork> run = waiting_.front().start(running_.size());
        if (run == nullptr)
            return false;
        running_.push_back({std::move(waiting_.front()), std::move(run), server::now()});
        waiting_.pop_front();
        ++begun_;
        return true;
    }

    // Other calls have all of the places.
    void wait_for_place()
    {
        if (!no_place_since_)
        {
            no_place_since_ = server::now();
            server::notice("all workers of procrastinate_migrate.max_migrate_workers are in use by "
                           "other calls: waiting for one");
        }
        else if (static_cast<double>(server::now() - *no_place_since_) > 1000 * options_.retry_for)
            throw common::Refusal{
                common::sqlstate::no_worker,
                "there is no place for a worker to migrate an installation with",
                "Other calls have used all workers of procrastinate_migrate.max_migrate_workers "
                "for as long as retry_for.",
                "Call it again later: it goes on with those that are left."};
    }

    void end_what_has_ended()
    {
        for (auto one = running_.begin(); one != running_.end();)
            if (one->run->is_running())
                ++one;
            else
            {
                tell_end(*one);
                one = running_.erase(one);
            }
    }

    void tell_end(const Begun &one)
    {
        ++ended_;
        const std::string progress =
            " (" + std::to_string(ended_) + " of " + std::to_string(count_) + ")";
        const std::optional<Failure> failure = one.run->failure();
        if (!failure)
        {
            if (!options_.dry_run)
                server::notice(one.work.name + " is migrated, in " +
                               std::to_string((server::now() - one.since) / 1000) + " ms" +
                               progress);
            return;
        }
        server::warning(one.work.name + " could not be migrated" + progress,
                        failure->sqlstate + ": " + failure->message +
                            (failure->detail.empty() ? "" : "\n") + failure->detail,
                        "To migrate it alone: " + one.work.alone);
        failures_.add(common::capitalized(one.work.name) + ": " + failure->sqlstate + " " +
                      failure->message);
        if (options_.on_error == OnError::stop)
            is_stopped_ = true;
    }

    [[noreturn]] void refuse() const
    {
        const int left = count_ - ended_;
        throw common::Refusal{
            common::sqlstate::fleet_failed,
            std::to_string(failures_.count()) + " of " + std::to_string(count_) + " " + kind_ +
                " could not be migrated",
            failures_.text() +
                (left > 0 ? "\n" + std::to_string(left) + " have not been begun." : ""),
            has_failed_canary_
                ? "A canary has failed. The call begins with it again. To go on with the others: "
                  "canary => 0, on_error => 'continue'."
                : "The call can be repeated: it goes on with those that are left."};
    }

    std::string kind_;
    std::deque<Work> waiting_;
    std::vector<Begun> running_;
    FleetOptions options_;
    int count_;
    int begun_ = 0;
    int ended_ = 0;
    bool is_stopped_ = false;
    bool has_failed_canary_ = false;
    std::optional<std::int64_t> no_place_since_; // of server::now()
    common::Findings failures_{most_failures_told};
};

} // namespace

void run_all(std::string_view kind, std::deque<Work> works, const FleetOptions &options)
{
    // It has nothing to do with the installations, and waits: no migration may wait for it.
    const online::SessionMarker marker(server::LockKey::waiting, InvalidOid);
    FleetRun(kind, std::move(works), options).run();
}

} // namespace procrastinate::fleet
