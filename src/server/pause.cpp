// Pauses of a session that can be cancelled, and the wait for older transactions.
#include "server/pause.hpp"

namespace procrastinate::server
{

std::int64_t now()
{
    return call([] { return GetCurrentTimestamp(); });
}

double random()
{
    return call([] { return pg_prng_double(&pg_global_prng_state); });
}

bool pause_until_woken(double milliseconds)
{
    const long rounded = static_cast<long>(milliseconds) + 1;
    return call([rounded] {
        const int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                                     rounded, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
        return (events & WL_LATCH_SET) != 0;
    });
}

void check_interrupts()
{
    call([] { CHECK_FOR_INTERRUPTS(); });
}

void pause(double milliseconds)
{
    const std::int64_t until = now() + static_cast<std::int64_t>(milliseconds * 1000);
    for (std::int64_t left = until - now(); left > 0; left = until - now())
        pause_until_woken(static_cast<double>(left) / 1000);
}

void wait_for_older_transactions(double milliseconds, std::span<const VirtualTransactionId> others)
{
    const std::int64_t until = now() + static_cast<std::int64_t>(milliseconds * 1000);
    struct
    {
        VirtualTransactionId *ids;
        int count;
    } older{nullptr, 0};
    call([&older] {
        InvalidateCatalogSnapshot();
        // Include transactions without a snapshot: a planned query has none before it is executed.
        older.ids = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
                                          PROC_IS_AUTOVACUUM | PROC_IN_VACUUM, &older.count);
    });
    for (int i = 0; i < older.count; ++i)
    {
        if (std::any_of(others.begin(), others.end(), [&older, i](const VirtualTransactionId &one) {
                return memcmp(&one, &older.ids[i], sizeof one) == 0;
            }))
            continue;
        while (!call([&older, i] { return VirtualXactLock(older.ids[i], false); }))
        {
            if (now() >= until)
                return;
            pause(2);
        }
    }
}

} // namespace procrastinate::server
