#include "migrate/lock.hpp"

#include "migrate/rights.hpp"
#include "server/messages.hpp"

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

// Whether the table has a trigger whose function is another role's, and no superuser's.
bool lock_table(Oid schema, const char *table, LOCKMODE mode)
{
    return server::call([=] {
        const Oid oid = get_relname_relid(table, schema);
        if (!OidIsValid(oid))
            return false;
        Relation const relation = relation_open(oid, mode);
        const TriggerDesc *const triggers = relation->trigdesc;
        bool is_strange = false;
        for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
        {
            HeapTuple const function =
                SearchSysCache1(PROCOID, ObjectIdGetDatum(triggers->triggers[i].tgfoid));
            if (!HeapTupleIsValid(function))
                continue;
            const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(function))->proowner;
            ReleaseSysCache(function);
            is_strange = is_strange || (owner != GetUserId() && !superuser_arg(owner));
        }
        relation_close(relation, NoLock);
        return is_strange;
    });
}

} // namespace

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

Tables tables_of(chain::Revision current, chain::Revision target)
{
    bool writes_rows = false;
    for (chain::Revision revision = current + 1; revision <= target; ++revision)
        writes_rows = writes_rows || chain::migration(revision).writes_rows;
    return target - current > 1 || writes_rows ? Tables::history_and_jobs : Tables::history;
}

void lock_tables(const catalog::Installation &installation, Tables tables)
{
    bool is_strange =
        tables == Tables::history_and_jobs &&
        server::with_context("lock of procrastinate_jobs", [&installation] {
            return lock_table(installation.schema, "procrastinate_jobs", AccessExclusiveLock);
        });
    is_strange = lock_table(installation.schema, catalog::history_table, ShareRowExclusiveLock) ||
                 is_strange;
    if (is_strange)
        require_no_strangers(installation);
}

} // namespace procrastinate::migrate
