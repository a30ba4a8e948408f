#include "migrate/lock.hpp"

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
    server::call([] { AcceptInvalidationMessages(); });
}

} // namespace procrastinate::migrate
