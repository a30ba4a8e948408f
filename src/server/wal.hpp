// Write-ahead log: bytes written by this session, and the lag of the slowest replica.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Bytes of WAL that this session has written since it began.
std::uint64_t wal_written();

struct ReplicationLag
{
    std::uint64_t bytes; // WAL that is flushed here and not applied there
    pid_t sender;        // pid of the WAL sender
};

// The lag of the slowest connected standby or subscriber; all 0 if none lags.
ReplicationLag replication_lag();

} // namespace procrastinate::server
