// Keys of the advisory locks that the extension takes, and their lock tags.
//
// Each lock has two keys: a LockKey, and an object, which is the OID of the installation's schema
// unless stated otherwise. pg_locks shows the first as classid, the second as objid. The fourth
// field of the lock tag is one that no SQL function uses: so no role can take these locks but by a
// call of this extension that it may make, and what pg_locks shows of them is true.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The values are four ASCII letters.
enum class LockKey : std::int32_t
{
    // "PROC", exclusive: one change of an installation at a time.
    installation = 0x50524F43,
    // "PROb", exclusive: one concurrent index build at a time.
    index_build = 0x50524F62,
    // "PROw", shared by sessions that run procrastinate_migrate().
    running = 0x50524F77,
    // "PROg", shared by sessions that only wait for others: procrastinate_wait(), and with 0 as the
    // object procrastinate_migrate_all() and _servers.
    waiting = 0x50524F67,
    // "PROo", shared. The object is the pid that the session waits for, 0 for a prepared
    // transaction.
    blocker = 0x50524F6F,
    // "PROi", shared by the background workers that build an index.
    building = 0x50524F69,
    // "PROs", exclusive: a place for a background worker that builds an index. The object is the
    // role whose session has started the worker; see slot_tag().
    build_slot = 0x50524F73,
    // "PROm", exclusive: the same for a background worker of procrastinate_migrate_all().
    migrate_slot = 0x50524F6D
};

// The key as pg_locks.classid shows it, and as queries bind it.
inline Oid class_id(LockKey key) { return static_cast<Oid>(key); }

// The lock tag of the key and the object in the current database.
inline LOCKTAG advisory_lock_tag(LockKey key, Oid object)
{
    LOCKTAG tag;
    // SQL functions use 1 and 2 (src/backend/utils/adt/lockfuncs.c). pg_locks: objsubid = 3
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, class_id(key), object, 3);
    return tag;
}

// The lock tag of one of a role's places for workers, counted from 0.
inline LOCKTAG slot_tag(LockKey key, Oid role, int slot)
{
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, class_id(key), role, 3 + slot);
    return tag;
}

// The lock tag of a table of the current database.
inline LOCKTAG relation_lock_tag(Oid table)
{
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
    return tag;
}

} // namespace procrastinate::server
