// Installations whose migration is under way, and what procrastinate_migrate() does there now: the
// functions procrastinate_under_way() and procrastinate_get_progress().
#pragma once

#include "chain/step.hpp"
#include "server/error_boundary.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

// All functions here run inside an SPI connection and under a search_path of the server's own. They
// take no lock that a session waits for, and work on a standby.

struct UnderWay
{
    Oid schema;
    std::optional<chain::Step> step;         // the next one, which may be running; nothing if the
                                             // current role may not read the history
    std::optional<TimestampTz> since;        // the step before it ended; nothing if none is done
    std::optional<chain::Position> position; // of a batched step
};

// The installations of this database that have done a part of a migration, or in which
// procrastinate_migrate() is about to begin one; and those whose history the current role may not
// read. It leaves out histories that are locked, or that this version does not understand.
std::vector<UnderWay> all_under_way();

// Nothing: not known, or none.
struct Activity
{
    std::optional<std::int32_t> pid; // of the call, or of its background worker
    std::optional<std::string>
        phase; // of an index build, as pg_stat_progress_create_index shows it
    std::optional<std::int64_t> done; // blocks or rows of a build, or ids of batches
    std::optional<std::int64_t> left;
    std::optional<Datum>
        waiting_for; // int4[], as long as the SPI connection; 0: a prepared transaction
};

// As far as the current role may see it; nothing if it may not read the history.
Activity activity_of(const UnderWay &under_way);

} // namespace procrastinate::online
