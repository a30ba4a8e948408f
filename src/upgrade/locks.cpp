#include "upgrade/locks.hpp"

#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/owners.hpp"
#include "server/schema_name_lock.hpp"
#include "server/spi.hpp"
#include "sql/lock_holder.hpp"
#include "upgrade/lock_modes.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/row_security.hpp"

namespace procrastinate::upgrade
{

namespace
{

// Returns whether this transaction has the installation's advisory lock now.
bool acquire(Oid schema, bool (*take)(const LOCKTAG &tag))
{
    return server::call(
        [=] { return take(server::advisory_lock_tag(server::LockKey::installation, schema)); });
}

bool take_at_once(const LOCKTAG &tag)
{
    return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

bool take_after_waiting(const LOCKTAG &tag)
{
    return LockAcquire(&tag, ExclusiveLock, false, false) != LOCKACQUIRE_NOT_AVAIL;
}

// Whether a type may be made of other types, whose owners may be others. Inside call().
bool is_made_of_types(Oid type)
{
    const char kind = get_typtype(type);
    return kind != TYPTYPE_ENUM && (kind != TYPTYPE_BASE || OidIsValid(get_element_type(type)));
}

bool is_foreign(Oid owner)
{
    return OidIsValid(owner) && owner != GetUserId() && !superuser_arg(owner);
}

// Returns whether what a trigger depends on may call code of another role, which is no superuser.
// What the condition calls may use other code in turn: an operator has a negator, and a function
// may have a body of the SQL standard. Inside call().
bool may_be_foreign_code(const Trigger &trigger, Oid class_id, Oid object)
{
    switch (class_id)
    {
    case ProcedureRelationId:
        return object != trigger.tgfoid || is_foreign(server::owner_of_function(object));
    case TypeRelationId:
        return is_made_of_types(object) || is_foreign(server::owner_of_type(object));
    default:
        return class_id == OperatorRelationId;
    }
}

// Returns whether the trigger may call such code: its function, or its condition. pg_depend has all
// but the server's own. Inside call().
bool may_call_foreign(const Trigger &trigger, Relation dependencies)
{
    if (trigger.tgenabled == TRIGGER_DISABLED || trigger.tgisinternal)
        return false; // only the table's owner can enable it
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(TriggerRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger.tgoid));
    SysScanDesc const scan =
        systable_beginscan(dependencies, DependDependerIndexId, true, nullptr, 2, keys);
    bool found = false;
    while (HeapTuple const tuple = systable_getnext(scan))
    {
        const auto *const form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        found = found || may_be_foreign_code(trigger, form->refclassid, form->refobjid);
    }
    systable_endscan(scan);
    return found;
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

// Returns whether the locked table, or code that one of its triggers may call, belongs to another
// role. Inside call().
bool may_be_foreign(Oid table)
{
    Relation const relation = relation_open(table, NoLock);
    Relation const dependencies = table_open(DependRelationId, AccessShareLock);
    // A copy: the look-ups of the functions may rebuild the relation's own descriptor.
    TriggerDesc *const triggers = CopyTriggerDesc(relation->trigdesc);
    bool found = relation->rd_rel->relowner != GetUserId();
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
        found = found || may_call_foreign(triggers->triggers[i], dependencies);
    FreeTriggerDesc(triggers);
    table_close(dependencies, AccessShareLock);
    relation_close(relation, NoLock);
    return found;
}

// Locks the table and those that inherit from it: a statement changes them all. Returns whether one
// of them, or code of a trigger, may belong to another role.
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
            found = may_be_foreign(lfirst_oid(cell)) || found;
        list_free(family);
        return found;
    });
}

// Call it once the locks are held: while the session waited for them, other sessions could create
// objects. `found`: what lock_table() returned.
void require_nothing_foreign(const catalog::Installation &installation, bool found)
{
    if (found)
        require_no_foreign_objects(installation);
    else
        require_no_shadowing_objects(installation);
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

void lock_installation(const catalog::Installation &installation, WaitNotice notice)
{
    if (!acquire(installation.schema, take_at_once))
    {
        if (notice == WaitNotice::raised)
            server::notice("waiting for " +
                           lock_holder(installation, server::LockKey::installation) +
                           ", which is changing " + catalog::in_schema(installation));
        (void)acquire(installation.schema, take_after_waiting);
    }
    // Waiting for an advisory lock does not process invalidations, as waiting for a table's does.
    catalog::require_same_name(installation);
}

std::string lock_holder(const catalog::Installation &installation, server::LockKey key)
{
    const std::array parameters{server::spi::oid_parameter(installation.schema),
                                server::spi::oid_parameter(server::class_id(key))};
    const server::spi::Rows rows = server::spi::read_latest(sql::lock_holder, parameters);
    return std::string(rows.text(0, 1).value_or("another session"));
}

void lock_history(const catalog::Installation &installation)
{
    const Oid schema = installation.schema;
    const auto require_own = [&installation](Oid owner) {
        if (OidIsValid(owner) && owner != GetUserId())
            require_no_foreign_objects(installation);
    };
    // Before the lock, so that the owner of a foreign table cannot make the caller wait for it.
    require_own(server::call([schema] {
        return server::owner_of_relation(get_relname_relid(catalog::history_table, schema));
    }));
    const Oid history = server::call(
        [schema] { return lock_by_name(schema, catalog::history_table, ShareRowExclusiveLock); });
    require_own(server::call([history] { return server::owner_of_relation(history); }));
    require_no_forced_policies_on_history(installation);
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
    require_nothing_foreign(installation, found);
}

void lock_to_read_jobs(const catalog::Installation &installation)
{
    lock_schema_name(installation);
    const bool found =
        lock_table(installation.schema, "procrastinate_jobs", AccessShareLock, Absent::refused);
    require_nothing_foreign(installation, found);
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
    require_nothing_foreign(installation, found);
}

} // namespace procrastinate::upgrade
