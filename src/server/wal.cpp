#include "server/wal.hpp"

namespace procrastinate::server
{

std::uint64_t wal_written() { return pgWalUsage.wal_bytes; }

std::uint64_t replication_lag()
{
    if (WalSndCtl == nullptr)
        return 0;
    const XLogRecPtr here = call([] { return GetFlushRecPtr(nullptr); });
    XLogRecPtr slowest = here;
    for (int i = 0; i < max_wal_senders; ++i)
    {
        WalSnd *const sender = &WalSndCtl->walsnds[i];
        SpinLockAcquire(&sender->mutex);
        const bool is_at_work = sender->pid != 0;
        const XLogRecPtr applied = sender->apply;
        SpinLockRelease(&sender->mutex);
        // Some never say, such as pg_receivewal; one that catches up does.
        if (is_at_work && applied != InvalidXLogRecPtr)
            slowest = std::min(slowest, applied);
    }
    return here - slowest;
}

} // namespace procrastinate::server
