#include "upgrade/locks.hpp"

#include "server/advisory_lock.hpp"
#include "server/messages.hpp"
#include "server/schema_name_lock.hpp"
#include "upgrade/lock_modes.hpp"
#include "upgrade/privileges.hpp"

namespace procrastinate::upgrade
{

namespace
{

enum class Wait
{
    yes,
    no
};

// Returns whether this transaction has the installation's advisory lock now.
bool acquire(Oid schema, Wait wait)
{
    return server::call([=] {
        const LOCKTAG tag = server::advisory_lock_tag(server::LockKey::installation, schema);
        const bool does_not_wait = wait == Wait::no;
        return LockAcquire(&tag, ExclusiveLock, false, does_not_wait) != LOCKACQUIRE_NOT_AVAIL;
    });
}

// Returns whether the object with this row in the cache belongs to another role, which is no
// superuser. Inside call().
bool has_foreign_owner(SysCacheIdentifier cache, AttrNumber owner_column, Oid oid)
{
    HeapTuple const tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        return false;
    bool is_null = false;
    const Oid owner = DatumGetObjectId(SysCacheGetAttr(cache, tuple, owner_column, &is_null));
    ReleaseSysCache(tuple);
    return owner != GetUserId() && !superuser_arg(owner);
}

// A walker over a trigger's condition. Returns false if it consists of columns, constants and the
// server's own operators, as those of Procrastinate's triggers do, and no type belongs to another
// role. The query foreign_objects.sql decides about everything else.
bool is_doubtful(Node *node, void *context)
{
    if (node == nullptr)
        return false;
    switch (nodeTag(node))
    {
    case T_List:
        break;
    case T_DistinctExpr:
    case T_OpExpr:
        if (reinterpret_cast<const OpExpr *>(node)->opno >= FirstNormalObjectId)
            return true;
        [[fallthrough]];
    case T_BooleanTest:
    case T_BoolExpr:
    case T_Const:
    case T_NullTest:
    case T_RelabelType:
    case T_Var:
        if (has_foreign_owner(TYPEOID, Anum_pg_type_typowner, exprType(node)))
            return true;
        break;
    default:
        return true;
    }
    return server::walk_expression(node, is_doubtful, context);
}

// Inside call().
bool may_be_foreign(const Trigger &trigger)
{
    const bool is_replica = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
    if (trigger.tgenabled == TRIGGER_DISABLED ||
        (trigger.tgenabled == TRIGGER_FIRES_ON_REPLICA && !is_replica))
        return false; // only the table's owner can enable it
    return has_foreign_owner(PROCOID, Anum_pg_proc_proowner, trigger.tgfoid) ||
           (trigger.tgqual != nullptr &&
            is_doubtful(static_cast<Node *>(stringToNode(trigger.tgqual)), nullptr));
}

// Locks the table that has the name once the lock is held, as the server's own look-up by name
// does. Returns InvalidOid if there is none. Inside call().
Oid lock_by_name(Oid schema, const char *table, LOCKMODE mode)
{
    Oid oid = get_relname_relid(table, schema);
    while (OidIsValid(oid))
    {
        LockRelationOid(oid, mode);
        const Oid now = get_relname_relid(table, schema);
        if (now == oid)
            break;
        UnlockRelationOid(oid, mode);
        CHECK_FOR_INTERRUPTS();
        oid = now;
    }
    return oid;
}

// What becomes of a table that does not exist.
enum class Absent
{
    allowed,
    refused
};

// Returns whether statements on a locked table may run code of another role: the table belongs to
// another role, or a trigger's function or condition may. Inside call().
bool may_run_foreign_code(Oid table)
{
    Relation const relation = relation_open(table, NoLock);
    // A copy: the look-ups of the functions may rebuild the relation's own descriptor.
    TriggerDesc *const triggers = CopyTriggerDesc(relation->trigdesc);
    bool found = relation->rd_rel->relowner != GetUserId();
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
        found = found || may_be_foreign(triggers->triggers[i]);
    FreeTriggerDesc(triggers);
    relation_close(relation, NoLock);
    return found;
}

// Locks the table and those that inherit from it: a statement changes them all. Returns whether it
// may run code of another role on any of them.
bool lock_table(Oid schema, const char *table, LOCKMODE mode, Absent absent = Absent::allowed)
{
    return server::call([=] {
        const Oid oid = lock_by_name(schema, table, mode);
        if (!OidIsValid(oid) && absent == Absent::refused)
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                            errmsg("table \"%s\" has been dropped by another session", table)));
        if (!OidIsValid(oid))
            return false;
        List *const family = find_all_inheritors(oid, mode, nullptr);
        bool found = false;
        ListCell *cell = nullptr;
        foreach (cell, family)
            found = may_run_foreign_code(lfirst_oid(cell)) || found;
        list_free(family);
        return found;
    });
}

LOCKMODE mode_of(std::string_view name)
{
    const auto *const found = std::find(lock_modes.begin(), lock_modes.end(), name);
    if (found != lock_modes.end())
        return static_cast<LOCKMODE>(found - lock_modes.begin()) + 1;
    throw std::invalid_argument("no lock mode: " + std::string(name));
}

} // namespace

std::vector<std::string> conflicting_modes(std::string_view mode)
{
    std::vector<std::string> modes;
    for (LOCKMODE other = AccessShareLock; other <= AccessExclusiveLock; ++other)
        if (DoLockModesConflict(mode_of(mode), other))
            modes.emplace_back(GetLockmodeName(DEFAULT_LOCKMETHOD, other));
    return modes;
}

void lock_installation(const catalog::Installation &installation)
{
    if (!acquire(installation.schema, Wait::no))
    {
        server::notice("waiting for another session that holds the lock of " +
                       catalog::in_schema(installation));
        (void)acquire(installation.schema, Wait::yes);
    }
    // Waiting for an advisory lock does not process invalidations, as waiting for a table's does.
    catalog::require_same_name(installation);
}

void lock_schema_name(const catalog::Installation &installation)
{
    (void)server::lock_schema_name(installation.schema);
    catalog::require_same_name(installation);
}

Tables tables_of(chain::Revision current, chain::Revision target)
{
    bool writes_rows = false;
    for (chain::Revision revision = current + 1; revision <= target; ++revision)
        writes_rows = writes_rows || chain::migration(revision).writes_rows;
    return target - current > 1 || writes_rows ? Tables::history_and_jobs : Tables::history;
}

void lock_tables(const catalog::Installation &installation, Tables tables)
{
    bool found =
        tables == Tables::history_and_jobs &&
        server::with_context("lock of procrastinate_jobs", [&installation] {
            return lock_table(installation.schema, "procrastinate_jobs", AccessExclusiveLock);
        });
    found = lock_table(installation.schema, catalog::history_table, ShareRowExclusiveLock) || found;
    if (found)
        require_no_foreign_objects(installation);
}

void lock_to_read_jobs(const catalog::Installation &installation)
{
    lock_schema_name(installation);
    if (lock_table(installation.schema, "procrastinate_jobs", AccessShareLock, Absent::refused))
        require_no_foreign_objects(installation);
}

void lock_tables(const catalog::Installation &installation, std::span<const chain::StepLock> locks)
{
    bool found = false;
    for (const chain::StepLock &lock : locks)
    {
        const std::string table(lock.table);
        const Absent absent = lock.may_be_gone ? Absent::allowed : Absent::refused;
        found = server::with_context("lock of " + table,
                                     [&] {
                                         return lock_table(installation.schema, table.c_str(),
                                                           mode_of(lock.mode), absent);
                                     }) ||
                found;
    }
    found = lock_table(installation.schema, catalog::history_table, ShareRowExclusiveLock) || found;
    if (found)
        require_no_foreign_objects(installation);
}

} // namespace procrastinate::upgrade
