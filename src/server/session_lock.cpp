// A lock that a session holds across transactions, released with its C++ object.
#include "server/session_lock.hpp"

namespace procrastinate::server
{

bool SessionLock::take(Wait wait)
{
    const bool was_held = holds_lock(tag_, mode_); // by another object
    try
    {
        is_held_ = call([this, wait] {
            return LockAcquire(&tag_, mode_, true, wait == Wait::no) != LOCKACQUIRE_NOT_AVAIL;
        });
    }
    catch (...)
    {
        // The lock may have been granted when the wait was given up. The end of the transaction
        // would not release it.
        is_held_ = !was_held && holds_lock(tag_, mode_);
        release();
        throw;
    }
    return is_held_;
}

bool SessionLock::try_acquire() { return take(Wait::no); }

bool SessionLock::try_acquire_once() { return !holds_lock(tag_, mode_) && take(Wait::no); }

void SessionLock::acquire() { (void)take(Wait::yes); }

void SessionLock::release()
{
    if (!is_held_)
        return;
    is_held_ = false;
    (void)LockRelease(&tag_, mode_, true);
}

} // namespace procrastinate::server
