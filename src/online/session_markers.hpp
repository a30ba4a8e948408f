// Advisory locks that show other sessions that this one is migrating or waiting, and its blockers.
#pragma once

#include "catalog/installation.hpp"
#include "server/session_lock.hpp"

#include <deque>
#include <vector>

namespace procrastinate::online
{

// A shared advisory lock, held as long as the object lives and across transactions. Nothing waits
// for it, and nothing fails without it.
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

// A marker (LockKey::blocker) for each session that blocks this one; 0 is a prepared transaction.
// They are for the pauses between lock retries: during a lock wait pg_blocking_pids() tells more.
std::deque<SessionMarker> blocker_markers(const std::vector<pid_t> &pids);

// Waits until the transactions that run now have ended, but at most `milliseconds`. It leaves out
// the sessions of this extension's procedures and workers, which may last long and fetch no job.
// Runs inside an SPI connection that may commit, without a snapshot.
void wait_for_running_clients(double milliseconds);

} // namespace procrastinate::online
