// How fast batches follow each other: as the server bears it.
#pragma once

#include "online/progress_report.hpp"

namespace procrastinate::online
{

class Throttle
{
  public:
    void begin();

    // After a batch that took that long: a rest for others, until the WAL written since begin() is no more
    // than procrastinate_migrate.max_wal_rate allows; of what was not written while it waited, a second's
    // worth is saved up.
    void rest(double milliseconds);

  private:
    std::int64_t began_ = 0;
    std::uint64_t wal_ = 0;
};

// Until no replica is behind by more than procrastinate_migrate.max_replication_lag. Whoever is waited for is
// told, and shown to others.
void wait_for_replicas(const chain::Step &step, ProgressReport &progress);

} // namespace procrastinate::online
