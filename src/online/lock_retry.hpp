// How often and how long a step asks again for what it could not have.
#pragma once

#include "server/pause.hpp"

namespace procrastinate::online
{

class LockRetry
{
  public:
    explicit LockRetry(double milliseconds) : most_(milliseconds) {}

    bool is_over() const { return failures_ > 0 && waited() >= most_; }
    int failures() const { return failures_; }
    double waited() const // milliseconds
    {
        return failures_ == 0 ? 0 : static_cast<double>(server::now() - since_) / 1000;
    }

    void fail()
    {
        if (failures_++ == 0)
            since_ = server::now();
    }
    void succeed() { failures_ = 0; }
    // Time in which nothing was asked for does not count.
    void skip(std::int64_t microseconds) { since_ += microseconds; }

    // How long those inside may take to come out of the barrier. Who comes meanwhile waits for nothing but
    // gets no job, so it may be longer each time, up to ten seconds; and pause() makes up for it.
    double barrier_timeout(double lock_timeout)
    {
        waited_at_barrier_ =
            std::max(lock_timeout, std::min({10'000.0, lock_timeout * doublings(), left()}));
        return waited_at_barrier_;
    }
    void barrier_closed() { waited_at_barrier_ = 0; }

    // Longer each time up to two seconds, or to four times what the barrier was waited for in vain; and
    // never quite the same, so that two do not meet again and again.
    void pause() const
    {
        const double longest = std::max(4 * waited_at_barrier_, std::min(2000.0, 50 * doublings()));
        server::pause(std::min(longest, std::max(50.0, left())) * (0.5 + server::random() / 2));
    }

  private:
    double left() const { return most_ - waited(); }
    double doublings() const { return 1 << std::min(failures_, 10); }

    double most_;
    double waited_at_barrier_ = 0;
    int failures_ = 0;
    std::int64_t since_ = 0;
};

} // namespace procrastinate::online
