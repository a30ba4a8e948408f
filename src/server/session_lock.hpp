// An advisory lock that outlives transactions, but not its owner.
#pragma once

#include "server/guard.hpp"

namespace procrastinate::server
{

class SessionLock
{
  public:
    SessionLock(std::int32_t key, Oid object) : key_(key), object_(object) {}
    SessionLock(const SessionLock &) = delete;
    SessionLock &operator=(const SessionLock &) = delete;
    ~SessionLock() { release(); }

    // Alone. `acquire` waits, and throws the server's error as lock_timeout says.
    bool try_acquire();
    void acquire();
    void release();
    bool is_held() const { return is_held_; }

  private:
    bool take(bool wait);

    std::int32_t key_;
    Oid object_;
    bool is_held_ = false;
};

} // namespace procrastinate::server
