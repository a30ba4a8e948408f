#include "online/throttle.hpp"

#include "server/pause.hpp"
#include "server/wal.hpp"
#include "upgrade/settings.hpp"

namespace procrastinate::online
{

namespace
{

constexpr double pause_share = 0.25; // of the time that a batch took
constexpr std::uint64_t kilobyte = 1024;
constexpr double longest_saved = 1000; // milliseconds of unused allowance

// The walsender of the replica that is behind most, if that is by more than the setting allows;
// else 0.
pid_t lagging_replica()
{
    const int most = upgrade::max_replication_lag();
    if (most < 0)
        return 0;
    const server::ReplicationLag lag = server::replication_lag();
    return lag.bytes > static_cast<std::uint64_t>(most) * kilobyte ? lag.sender : 0;
}

} // namespace

void Throttle::begin()
{
    began_ = server::now();
    wal_ = server::wal_written();
}

void Throttle::pause_after(double milliseconds)
{
    double pause = milliseconds * pause_share;
    if (const int rate = upgrade::max_wal_rate(); rate > 0)
    {
        const double written =
            static_cast<double>(server::wal_written() - wal_) / static_cast<double>(kilobyte);
        const double spent = static_cast<double>(server::now() - began_) / 1000;
        const double owed = 1000 * written / rate - spent;
        if (owed < -longest_saved)
            began_ += static_cast<std::int64_t>(1000 * (-owed - longest_saved));
        pause = std::max(pause, owed);
    }
    server::pause(pause);
}

void wait_for_replicas(const chain::Step &step, ProgressReport &progress)
{
    for (pid_t sender = lagging_replica(); sender != 0;)
    {
        progress.show_blockers({sender});
        const pid_t slowest = sender;
        for (; sender == slowest; sender = lagging_replica())
        {
            progress.tell_lag(step, sender);
            server::pause(100);
        }
    }
    progress.show_no_blockers();
}

} // namespace procrastinate::online
