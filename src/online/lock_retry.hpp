// How often and how long a call asks again for locks that it could not have.
#pragma once

#include "online/lock_request.hpp"
#include "server/pause.hpp"

#include <array>

namespace procrastinate::online
{

// The tries of one purpose since its last success. All times are milliseconds.
class LockRetry
{
  public:
    explicit LockRetry(double retry_for) : retry_for_(retry_for) {}

    bool is_over() const { return failures_ > 0 && waited() >= retry_for_; }
    int failures() const { return failures_; }
    double waited() const
    {
        return failures_ == 0 ? 0 : static_cast<double>(server::now() - since_) / 1000;
    }

    // `asked`: when the locks were asked for, if that was long ago.
    void fail(std::optional<std::int64_t> asked = {})
    {
        if (failures_++ == 0)
            since_ = asked.value_or(server::now());
    }
    void succeed()
    {
        failures_ = 0;
        waited_at_barrier_ = 0;
    }

    // How long to wait for the running fetches when the barrier is closed: longer with each
    // failure, up to 10 s. New fetches do not queue behind that wait, they return no job; pause()
    // makes up for it.
    double barrier_timeout(double lock_timeout)
    {
        waited_at_barrier_ =
            std::max(lock_timeout, std::min({10'000.0, lock_timeout * doublings(), left()}));
        return waited_at_barrier_;
    }

    // Longer with each failure, up to 2 s, or up to four times what the barrier was waited for in
    // vain. The length is random, so that two sessions do not collide again and again. Can be
    // cancelled.
    void pause() const
    {
        const double longest = std::max(4 * waited_at_barrier_, std::min(2000.0, 50 * doublings()));
        server::pause(std::min(longest, std::max(50.0, left())) * (0.5 + server::random() / 2));
    }

    // Until the retries are over; negative afterwards.
    double left() const { return retry_for_ - waited(); }

  private:
    double doublings() const { return 1 << std::min(failures_, 10); }

    double retry_for_;
    double waited_at_barrier_ = 0;
    int failures_ = 0;
    std::int64_t since_ = 0; // the first failure
};

// "tried once", "tried 3 times".
inline std::string tried(int failures)
{
    return failures == 1 ? "tried once" : "tried " + std::to_string(failures) + " times";
}

// One count for each purpose: the pre-check may succeed between two tries of a step.
class LockRetries
{
  public:
    explicit LockRetries(double retry_for)
        : retries_{LockRetry(retry_for), LockRetry(retry_for), LockRetry(retry_for),
                   LockRetry(retry_for)}
    {
    }

    LockRetry &operator[](LockRequest::Purpose purpose) { return retries_[purpose]; }

  private:
    std::array<LockRetry, LockRequest::purposes> retries_;
};

} // namespace procrastinate::online
