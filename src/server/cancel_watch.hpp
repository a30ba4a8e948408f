// A cancel that comes when lock_timeout strikes is taken for the timeout by the server, which knows
// one flag for both; so is a statement_timeout. Who goes on after a timeout would not be stopped by it.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// While it lives, cancels by other processes are remembered; the server's handler sees all of them.
// One at a time.
class CancelWatch
{
  public:
    CancelWatch();
    CancelWatch(const CancelWatch &) = delete;
    CancelWatch &operator=(const CancelWatch &) = delete;
    ~CancelWatch();

    // Throws what the server would have said of it (57014) where there was one.
    static void require_none();
};

} // namespace procrastinate::server
