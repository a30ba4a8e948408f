// By what others know sessions that are at work on an installation, or wait for it, and whom they wait for.
#pragma once

#include "catalog/installation.hpp"
#include "server/session_lock.hpp"

#include <deque>
#include <vector>

namespace procrastinate::online
{

// Shown for as long as it lives, in pauses as well. Nobody waits for it, and nobody needs it.
class SessionMarker
{
  public:
    SessionMarker(server::LockKey key, Oid object) : lock_(key, object, ShareLock)
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
