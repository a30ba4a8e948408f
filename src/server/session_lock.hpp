// A lock that a session holds across transactions, released with its C++ object.
#pragma once

#include "server/advisory_lock.hpp"

namespace procrastinate::server
{

// Survives the end of a transaction; an exception releases it.
class SessionLock
{
  public:
    // Takes no lock yet.
    SessionLock(const LOCKTAG &tag, LOCKMODE mode) : tag_(tag), mode_(mode) {}
    // An advisory lock; `mode` is ExclusiveLock or ShareLock.
    SessionLock(LockKey key, Oid object, LOCKMODE mode = ExclusiveLock)
        : SessionLock(advisory_lock_tag(key, object), mode)
    {
    }
    SessionLock(const SessionLock &) = delete;
    SessionLock &operator=(const SessionLock &) = delete;
    ~SessionLock() { release(); }

    // Returns false instead of waiting.
    bool try_acquire();
    // The same, and returns false if another object of this session has the lock.
    bool try_acquire_once();
    // Waits. Throws ServerError 55P03 after lock_timeout.
    void acquire();
    void release();
    bool is_held() const { return is_held_; }

  private:
    enum class Wait
    {
        no,
        yes
    };
    bool take(Wait wait);

    LOCKTAG tag_;
    LOCKMODE mode_;
    bool is_held_ = false;
};

} // namespace procrastinate::server
