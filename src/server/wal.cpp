// Write-ahead log: bytes written by this session, and the lag of the slowest replica.
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
    pid_t slowest_sender = 0;
    for (int i = 0; i < max_wal_senders; ++i)
    {
        WalSnd *const sender = &WalSndCtl->walsnds[i];
        SpinLockAcquire(&sender->mutex);
        const pid_t pid = sender->pid;
        const XLogRecPtr applied = sender->apply;
        SpinLockRelease(&sender->mutex);
        // pg_receivewal and some others never report what they have applied.
        if (pid != 0 && applied != InvalidXLogRecPtr && applied < slowest)
        {
            slowest = applied;
            slowest_sender = pid;
        }
    }
    return {here - slowest, slowest_sender};
}

} // namespace procrastinate::server
