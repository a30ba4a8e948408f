// Pauses of a session that can be cancelled, the clock for them, and held interrupts.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Holds back cancel and termination while an object exists, as HOLD_INTERRUPTS() does, which is not
// valid C++20.
class HeldInterrupts
{
  public:
    HeldInterrupts() { InterruptHoldoffCount = InterruptHoldoffCount + 1; }
    HeldInterrupts(const HeldInterrupts &) = delete;
    HeldInterrupts &operator=(const HeldInterrupts &) = delete;
    ~HeldInterrupts()
    {
        if (InterruptHoldoffCount > 0) // an error has set it to 0
            InterruptHoldoffCount = InterruptHoldoffCount - 1;
    }
};

// Throws ServerError if the session is cancelled (57014) or terminated.
void check_interrupts();

// Waits. Throws ServerError if the session is cancelled (57014) or terminated.
void pause(double milliseconds);

// Waits until the session's latch is set, but at most `milliseconds`. Returns true if it was set.
// Errors as pause().
bool pause_until_woken(double milliseconds);

// Waits until every transaction of the database that is running now has ended, except `others`, but
// at most `milliseconds`. Call it without a snapshot. Errors as pause().
void wait_for_older_transactions(double milliseconds, std::span<const VirtualTransactionId> others);

// The time in microseconds; only differences have a meaning.
std::int64_t now();

// A random number from 0 (included) to 1 (excluded).
double random();

} // namespace procrastinate::server
