// An advisory lock that outlives transactions, but not its owner.
#pragma once

#include "server/advisory_lock.hpp"

namespace procrastinate::server
{

class SessionLock
{
  public:
    // The `mode` is ExclusiveLock, alone, or ShareLock, beside others that share it.
    SessionLock(LockKey key, Oid object, LOCKMODE mode = ExclusiveLock)
        : key_(key), object_(object), mode_(mode)
    {
    }
    SessionLock(const SessionLock &) = delete;
    SessionLock &operator=(const SessionLock &) = delete;
    ~SessionLock() { release(); }

    // `acquire` waits, and throws the server's error as lock_timeout says.
    bool try_acquire();
    void acquire();
    void release();
    bool is_held() const { return is_held_; }

  private:
    bool take(bool wait);

    LockKey key_;
    Oid object_;
    LOCKMODE mode_;
    bool is_held_ = false;
};

} // namespace procrastinate::server
