// By what others know sessions that are at work on an installation, or wait for it, and whom they wait for.
#pragma once

#include "catalog/installation.hpp"
#include "server/session_lock.hpp"

#include <deque>
#include <vector>

namespace procrastinate::online
{

// Advisory locks that all share who have them; see upgrade::installation_lock.
inline constexpr std::int32_t running_lock =
    0x50524F77; // "PROw"; the view procrastinate_progress reads it
inline constexpr std::int32_t waiting_lock = 0x50524F67; // "PROg"
inline constexpr std::int32_t blocker_lock =
    0x50524F6F; // "PROo", of a pid, or of 0 for prepared transactions; the view reads it as well

// Shown for as long as it lives, in pauses as well. Nobody waits for it, and nobody needs it.
class SessionMarker
{
  public:
    SessionMarker(std::int32_t lock_class, Oid object) : lock_(lock_class, object, ShareLock)
    {
        (void)lock_.try_acquire();
    }

  private:
    server::SessionLock lock_;
};

// Those that were met in the way. During a lock's own wait pg_blocking_pids() knows better.
std::deque<SessionMarker> problems(const std::vector<pid_t> &pids);

// server::wait_for_older_transactions(), but for those of such sessions, which may last and fetch no job.
// Inside an SPI connection, without a snapshot of one's own.
void wait_for_clients(double milliseconds);

} // namespace procrastinate::online
