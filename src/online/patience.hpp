// How often and how long a step asks again for what it could not have.
#pragma once

#include "server/waiting.hpp"

namespace procrastinate::online
{

class Patience
{
  public:
    explicit Patience(double milliseconds) : most_(milliseconds) {}

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

    // Longer each time up to two seconds, and never quite the same, so that two do not meet again and
    // again.
    void pause() const
    {
        const double longest = std::min(2000.0, 50.0 * (1 << std::min(failures_, 6)));
        server::pause(longest * (0.5 + server::random() / 2));
    }

  private:
    double most_;
    int failures_ = 0;
    std::int64_t since_ = 0;
};

} // namespace procrastinate::online
