// Progress of long steps, as NOTICEs to the caller (at most one a second) and as advisory locks
// that show the blockers to other sessions.
#pragma once

#include "online/lock_request.hpp"
#include "online/session_markers.hpp"

#include <string>

namespace procrastinate::online
{

class ProgressReport
{
  public:
    void begin(); // of a step: its first NOTICE comes a second later
    // True if a second has passed since the last NOTICE.
    bool is_due() const;
    // Raises the NOTICE "<about>: <what>" whether or not it is due.
    void tell(const std::string &about, const std::string &what);

    // These raise a NOTICE if it is due. `percent`: of the ids; `rows`: changed by this call.
    void tell_rows(const chain::Step &step, double percent, std::int64_t rows);
    void tell_counting(const chain::Step &step);
    // `sender`: the pid of the replica's walsender.
    void tell_lag(const chain::Step &step, int sender);
    // `pids`: the blockers, which are shown to other sessions as well; 0 is a prepared transaction.
    // `error`: what a background worker said, or empty.
    void tell_waiting(const LockRequest &request, int failures, const std::vector<pid_t> &pids,
                      std::string_view error);

    // Shows these pids as blockers, instead of those shown before: between lock retries, and until
    // a try has its locks or a background worker asks for them. procrastinate_progress leaves out
    // sessions that have ended or hold no lock any more.
    void show_blockers(const std::vector<pid_t> &pids) { shown_ = blocker_markers(pids); }
    void show_no_blockers() { shown_.clear(); }

  private:
    std::int64_t last_notice_ = 0;
    std::deque<SessionMarker> shown_;
};

} // namespace procrastinate::online
