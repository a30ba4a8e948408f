#include "server/wal.hpp"

namespace procrastinate::server
{

std::uint64_t wal_written() { return pgWalUsage.wal_bytes; }

ReplicationLag replication_lag()
{
    if (WalSndCtl == nullptr)
        return {};
    const XLogRecPtr here = call([] { return GetFlushRecPtr(nullptr); });
    XLogRecPtr slowest = here;
    pid_t whose = 0;
    for (int i = 0; i < max_wal_senders; ++i)
    {
        WalSnd *const sender = &WalSndCtl->walsnds[i];
        SpinLockAcquire(&sender->mutex);
        const pid_t pid = sender->pid;
        const XLogRecPtr applied = sender->apply;
        SpinLockRelease(&sender->mutex);
        // Some never say, such as pg_receivewal; one that catches up does.
        if (pid != 0 && applied != InvalidXLogRecPtr && applied < slowest)
        {
            slowest = applied;
            whose = pid;
        }
    }
    return {here - slowest, whose};
}

} // namespace procrastinate::server
