// How much write-ahead log there is to be sent on.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Bytes that this session has written since it began.
std::uint64_t wal_written();

// Of the slowest of the standbys and subscribers that are connected; all 0 where none is behind.
struct ReplicationLag
{
    std::uint64_t bytes; // still to be applied
    pid_t sender;
};

ReplicationLag replication_lag();

} // namespace procrastinate::server
