// Which installations of the database are on their way between two revisions, or have somebody at work who is
// about to set out; for anybody to see.
#pragma once

#include "chain/step.hpp"
#include "server/error_boundary.hpp"

#include <vector>

namespace procrastinate::online
{

struct UnderWay
{
    Oid schema;
    chain::Step step;                        // that is at work, or is next
    std::optional<TimestampTz> since;        // the step before ended; none where nothing is done
    std::optional<chain::Position> position; // of a batched step
};

// Of all histories that the caller may read. Inside an SPI connection and under a search_path of the
// server's own.
std::vector<UnderWay> all_under_way();

} // namespace procrastinate::online
