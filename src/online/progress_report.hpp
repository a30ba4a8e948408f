// What the caller hears of long steps, at most one NOTICE a second; and whom others see that it waits for.
#pragma once

#include "chain/step.hpp"
#include "online/session_markers.hpp"
#include "server/error_boundary.hpp"

#include <string>

namespace procrastinate::online
{

class ProgressReport
{
  public:
    void begin(); // of a step: it is a second until the first one
    // Whether a second has gone by since the last one.
    bool is_due() const;
    void tell(const chain::Step &step, const std::string &what);

    void tell_rows(const chain::Step &step, double percent, std::int64_t rows);
    void tell_counting(const chain::Step &step);
    void tell_lag(const chain::Step &step, int sender);
    // Of those in the way, who are shown as well; 0 is a prepared transaction. `error` is what a worker said.
    void tell_waiting(const chain::Step &step, int failures, const std::vector<pid_t> &pids,
                      std::string_view error);

    // These, instead of those before: from the try in which they were met until one has its locks or a worker
    // asks for them. The view leaves out who has gone by then.
    void show(const std::vector<pid_t> &pids) { met_ = problems(pids); }
    void show_nobody() { met_.clear(); }

  private:
    std::int64_t last_ = 0;
    std::deque<SessionMarker> met_;
};

} // namespace procrastinate::online
