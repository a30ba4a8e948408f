// What the caller hears of long steps, at most one NOTICE a second; and by what others find him.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "server/session_lock.hpp"

#include <string>

namespace procrastinate::online
{

// An advisory lock that all share who are at work on an installation, in their pauses as well: the view
// procrastinate_progress finds them by it, and nobody needs it.
class AtWork
{
  public:
    explicit AtWork(const catalog::Installation &installation);

  private:
    server::SessionLock lock_;
};

class Progress
{
  public:
    void begin(); // of a step: it is a second until the first one
    // Whether a second has gone by since the last one.
    bool is_due() const;
    void tell(const chain::Step &step, const std::string &what);

    void tell_rows(const chain::Step &step, double percent, std::int64_t rows);
    void tell_lag(const chain::Step &step);
    void tell_waiting(const chain::Step &step, int failures);

  private:
    std::int64_t last_ = 0;
};

} // namespace procrastinate::online
