// Throttle of batches: pauses between them, by duration, by WAL written and by replication lag.
#pragma once

#include "online/progress_report.hpp"

namespace procrastinate::online
{

class Throttle
{
  public:
    void begin();

    // Pauses after a batch that took `milliseconds`: for a quarter of them, and until the WAL that
    // this session has written since begin() is within procrastinate_migrate.max_wal_rate. An
    // allowance that was not used is kept for at most one second. Can be cancelled.
    void pause_after(double milliseconds);

  private:
    std::int64_t began_ = 0;
    std::uint64_t wal_ = 0;
};

// Waits until no replica is behind by more than procrastinate_migrate.max_replication_lag. The
// walsender of the replica that is behind most is told to the caller and shown to other sessions.
// Can be cancelled.
void wait_for_replicas(const chain::Step &step, ProgressReport &progress);

} // namespace procrastinate::online
