// Detects a cancel that the server has reported as a lock timeout.
//
// The server has one flag for lock_timeout, statement_timeout and a cancel by the user. If two come
// at the same moment it reports lock_timeout. A lock retry must not go on in that case.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// While an object exists, it notes SIGINT from other processes; the server's own handler still
// runs. At most one object at a time.
class CancelWatch
{
  public:
    CancelWatch();
    CancelWatch(const CancelWatch &) = delete;
    CancelWatch &operator=(const CancelWatch &) = delete;
    ~CancelWatch();

    // Throws ServerError 57014 if there was a cancel, or if statement_timeout expired, since the
    // object was made.
    static void require_none();
};

} // namespace procrastinate::server
