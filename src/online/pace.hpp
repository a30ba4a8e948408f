// How fast batches follow each other: as the server bears it.
#pragma once

#include "server/guard.hpp"

namespace procrastinate::online
{

class Pace
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

// The walsender of the replica that is behind most, where that is by more than
// procrastinate_migrate.max_replication_lag: the next batch has to wait for it. Else 0.
pid_t lagging_replica();

} // namespace procrastinate::online
