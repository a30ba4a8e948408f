#include "migrate/lock.hpp"

#include "migrate/lock_modes.hpp"
#include "migrate/rights.hpp"
#include "server/messages.hpp"
#include "server/schema_lock.hpp"

namespace procrastinate::migrate
{

namespace
{

bool acquire(Oid schema, bool wait)
{
    return server::call([=] {
        LOCKTAG tag;
        // 2: the space of advisory locks with two keys (src/backend/utils/adt/lockfuncs.c)
        SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<std::uint32_t>(lock_class), schema, 2);
        return LockAcquire(&tag, ExclusiveLock, false, !wait) != LOCKACQUIRE_NOT_AVAIL;
    });
}

bool is_strange_owner(Oid owner) { return owner != GetUserId() && !superuser_arg(owner); }

// The callbacks of the server's walkers, inside call(): whether a function, or a type that an expression makes
// values of, or any function that it calls, is another role's and no superuser's; or may do anything.
bool is_strange_function(Oid function, void *)
{
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return false;
    const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return is_strange_owner(owner);
}

bool is_strange_type(Oid type)
{
    HeapTuple const tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(tuple))
        return false;
    const Oid owner = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typowner;
    ReleaseSysCache(tuple);
    return is_strange_owner(owner);
}

// One of the server's own that may do what its arguments say: run SQL, read a value of any type, change settings.
// strangers_sql() tells of the same ones.
bool is_almighty_function(Oid function)
{
    if (function >= FirstNormalObjectId)
        return false;
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return false;
    const auto *const form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const std::string_view name = NameStr(form->proname);
    bool is_almighty = form->provolatile == PROVOLATILE_VOLATILE ||
                       name.find("_to_xml") != std::string_view::npos ||
                       name.starts_with("pg_input_");
    for (int i = 0; i < form->pronargs; ++i)
        is_almighty = is_almighty || form->proargtypes.values[i] == CSTRINGOID ||
                      form->proargtypes.values[i] == INTERNALOID;
    ReleaseSysCache(tuple);
    return is_almighty;
}

// A domain checks its values, and so does what is read into an array or a row of it; and a function may take the
// type that it makes from a constant's.
bool makes_value(const Node *node)
{
    if (server::reads_json(node))
        return true;
    switch (nodeTag(node))
    {
    case T_Const:
    case T_FuncExpr:
    case T_OpExpr:
    case T_CoerceToDomain:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_ConvertRowtypeExpr:
    case T_RelabelType:
    case T_ArrayExpr:
    case T_RowExpr:
        return true;
    default:
        return false;
    }
}

bool calls_strange_function(Node *node, void *context)
{
    if (node == nullptr)
        return false;
    return (makes_value(node) && is_strange_type(exprType(node))) ||
           (IsA(node, FuncExpr) &&
            is_almighty_function(reinterpret_cast<const FuncExpr *>(node)->funcid)) ||
           check_functions_in_node(node, is_strange_function, context) ||
           server::walk_expression(node, calls_strange_function, context);
}

bool is_strange(const Trigger &trigger)
{
    const bool is_replica = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA;
    if (trigger.tgenabled == TRIGGER_DISABLED ||
        (trigger.tgenabled == TRIGGER_FIRES_ON_REPLICA && !is_replica))
        return false; // to enable it takes the table's owner
    return is_strange_function(trigger.tgfoid, nullptr) ||
           (trigger.tgqual != nullptr &&
            calls_strange_function(static_cast<Node *>(stringToNode(trigger.tgqual)), nullptr));
}

// As the server's own look-up does: what has the name once the lock is there. Inside call().
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

enum class Absent
{
    allowed,
    refused
};

// Whether the table may run code of another role's: it is his, in the place of ours, or a trigger is.
bool lock_table(Oid schema, const char *table, LOCKMODE mode, Absent absent = Absent::allowed)
{
    return server::call([=] {
        const Oid oid = lock_by_name(schema, table, mode);
        if (!OidIsValid(oid) && absent == Absent::refused)
            ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                            errmsg("table \"%s\" has been dropped by another session", table)));
        if (!OidIsValid(oid))
            return false;
        Relation const relation = relation_open(oid, NoLock);
        // To look at their functions may build the table's own anew, as where too many changes came meanwhile.
        TriggerDesc *const triggers = CopyTriggerDesc(relation->trigdesc);
        bool found = relation->rd_rel->relowner != GetUserId();
        for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
            found = found || is_strange(triggers->triggers[i]);
        FreeTriggerDesc(triggers);
        relation_close(relation, NoLock);
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

void lock(const catalog::Installation &installation)
{
    if (!acquire(installation.schema, false))
    {
        server::notice("waiting for another session that holds the lock of schema \"" +
                       std::string(installation.name) + "\"");
        (void)acquire(installation.schema, true);
    }
    // Unlike a lock on a table, this one does not tell what others have committed meanwhile.
    catalog::require_same_name(installation);
}

void hold_name(const catalog::Installation &installation)
{
    (void)server::hold_schema(installation.schema);
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
        require_no_strangers(installation);
}

void lock_to_read_jobs(const catalog::Installation &installation)
{
    hold_name(installation);
    if (lock_table(installation.schema, "procrastinate_jobs", AccessShareLock, Absent::refused))
        require_no_strangers(installation);
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
        require_no_strangers(installation);
}

} // namespace procrastinate::migrate
