// A session-level advisory lock that is released with its C++ object.
#include "server/session_lock.hpp"

namespace procrastinate::server
{

bool SessionLock::take(Wait wait)
{
    const LOCKTAG tag = advisory_lock_tag(key_, object_);
    const bool was_held = holds_lock(tag, mode_); // by the user's pg_advisory_lock()
    try
    {
        is_held_ = call([&tag, this, wait] {
            return LockAcquire(&tag, mode_, true, wait == Wait::no) != LOCKACQUIRE_NOT_AVAIL;
        });
    }
    catch (...)
    {
        // The lock may have been granted when the wait was given up. The end of the transaction
        // would not release it.
        is_held_ = !was_held && holds_lock(tag, mode_);
        release();
        throw;
    }
    return is_held_;
}

bool SessionLock::try_acquire() { return take(Wait::no); }

void SessionLock::acquire() { (void)take(Wait::yes); }

void SessionLock::release()
{
    if (!is_held_)
        return;
    is_held_ = false;
    const LOCKTAG tag = advisory_lock_tag(key_, object_);
    (void)LockRelease(&tag, mode_, true);
}

} // namespace procrastinate::server
