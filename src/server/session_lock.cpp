#include "server/session_lock.hpp"

namespace procrastinate::server
{

namespace
{

LOCKTAG tag_of(std::int32_t key, Oid object)
{
    LOCKTAG tag;
    // 2: the space of advisory locks with two keys (src/backend/utils/adt/lockfuncs.c)
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<std::uint32_t>(key), object, 2);
    return tag;
}

} // namespace

bool SessionLock::take(bool wait)
{
    const LOCKTAG tag = tag_of(key_, object_);
    const bool was_held = holds_lock(tag, mode_); // by pg_advisory_lock()
    try
    {
        is_held_ = call([&tag, this, wait] {
            return LockAcquire(&tag, mode_, true, !wait) != LOCKACQUIRE_NOT_AVAIL;
        });
    }
    catch (...)
    {
        // It may have been granted in the moment in which the wait was given up. No end of a
        // transaction would let go of it.
        is_held_ = !was_held && holds_lock(tag, mode_);
        release();
        throw;
    }
    return is_held_;
}

bool SessionLock::try_acquire() { return take(false); }

void SessionLock::acquire() { (void)take(true); }

void SessionLock::release()
{
    if (!is_held_)
        return;
    is_held_ = false;
    const LOCKTAG tag = tag_of(key_, object_);
    (void)LockRelease(&tag, mode_, true);
}

} // namespace procrastinate::server
