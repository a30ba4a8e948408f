// Keys of the advisory locks that the extension takes, and their lock tags.
//
// Each lock has two keys, as pg_advisory_lock(key1 int, key2 int): a LockKey, and an object, which is the OID of
// the installation's schema unless stated otherwise. pg_locks shows the first as classid, the second as objid.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The values are ASCII: "PROC", "PROd" ... Scripts for psql take the same locks.
enum class LockKey : std::int32_t
{
    installation = 0x50524F43, // "PROC", exclusive: one change at a time
    fetch_barrier =
        0x50524F64, // "PROd", shared by fetches, exclusive while columns of the jobs table change
    index_build = 0x50524F62, // "PROb", exclusive: one concurrent index build at a time
    running = 0x50524F77,     // "PROw", shared: sessions that run procrastinate_migrate()
    waiting = 0x50524F67,     // "PROg", shared: sessions that run procrastinate_wait()
    blocker = 0x50524F6F // "PROo", shared; the object is a pid that the session waits for, 0 for a
                         // prepared transaction
};

// What pg_locks.classid shows; the type that queries compare it with.
inline Oid class_id(LockKey key) { return static_cast<Oid>(key); }

inline LOCKTAG advisory_lock_tag(LockKey key, Oid object)
{
    LOCKTAG tag;
    // 2: the space of advisory locks with two keys (src/backend/utils/adt/lockfuncs.c)
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, class_id(key), object, 2);
    return tag;
}

} // namespace procrastinate::server
