// Settings lock_timeout and deadlock_timeout for the short tries of an online run.
#pragma once

#include "server/setting_scope.hpp"

namespace procrastinate::online
{

// Runs `body` with lock_timeout = `milliseconds`, so that no queue of clients forms behind a lock
// that this session waits for. deadlock_timeout is at most half of that: the deadlock check also
// cancels an autovacuum that blocks, and if there is a deadlock this session finds it before a
// client does.
template <typename Body> void with_lock_timeout(double milliseconds, Body body)
{
    const int level = server::open_settings();
    const int timeout = std::max(1, static_cast<int>(milliseconds));
    const int deadlock = std::max(1, std::min(timeout / 2, DeadlockTimeout / 2));
    server::set("lock_timeout", std::to_string(timeout).c_str());
    server::set_as_server("deadlock_timeout", std::to_string(deadlock).c_str());
    body();
    server::close_settings(level);
}

} // namespace procrastinate::online
