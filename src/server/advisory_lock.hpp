// Keys of the advisory locks that the extension takes, and their lock tags.
//
// Each lock has two keys, as pg_advisory_lock(key1 int, key2 int): a LockKey, and an object, which
// is the OID of the installation's schema unless stated otherwise. pg_locks shows the first as
// classid, the second as objid.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The values are four ASCII letters. Scripts for psql take the same locks.
enum class LockKey : std::int32_t
{
    // "PROC", exclusive: one change of an installation at a time.
    installation = 0x50524F43,
    // "PROd", shared by fetches, exclusive while columns of the jobs table change.
    fetch_barrier = 0x50524F64,
    // "PROb", exclusive: one concurrent index build at a time.
    index_build = 0x50524F62,
    // "PROw", shared by sessions that run procrastinate_migrate().
    running = 0x50524F77,
    // "PROg", shared by sessions that run procrastinate_wait().
    waiting = 0x50524F67,
    // "PROo", shared. The object is the pid that the session waits for, 0 for a prepared
    // transaction.
    blocker = 0x50524F6F
};

// The key as pg_locks.classid shows it, and as queries bind it.
inline Oid class_id(LockKey key) { return static_cast<Oid>(key); }

// The lock tag of the key and the object in the current database.
inline LOCKTAG advisory_lock_tag(LockKey key, Oid object)
{
    LOCKTAG tag;
    // 2: advisory locks with two keys (src/backend/utils/adt/lockfuncs.c)
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, class_id(key), object, 2);
    return tag;
}

} // namespace procrastinate::server
