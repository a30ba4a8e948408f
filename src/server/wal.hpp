// How much write-ahead log there is to be sent on.
#pragma once

#include "server/guard.hpp"

namespace procrastinate::server
{

// Bytes that this session has written since it began.
std::uint64_t wal_written();

// Bytes that the slowest of the standbys and subscribers that are connected has still to apply; 0 where
// there is none.
std::uint64_t replication_lag();

} // namespace procrastinate::server
