// Locks that are waited for so briefly that nobody queues behind.
#pragma once

#include "server/setting_scope.hpp"

namespace procrastinate::online
{

// What a step asks the server for is given up soon, before a queue forms behind it; and the deadlock
// check, which ends an autovacuum in the way, comes sooner still: if there is a deadlock, a client is not
// the one that finds it.
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
