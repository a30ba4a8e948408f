// Waiting that can be cancelled, and during which nobody else has to wait.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// While it lives, cancel and termination have to wait: HOLD_INTERRUPTS(), which C++20 does not compile.
class HeldInterrupts
{
  public:
    HeldInterrupts() { InterruptHoldoffCount = InterruptHoldoffCount + 1; }
    HeldInterrupts(const HeldInterrupts &) = delete;
    HeldInterrupts &operator=(const HeldInterrupts &) = delete;
    ~HeldInterrupts()
    {
        if (InterruptHoldoffCount > 0) // an error lets go of them
            InterruptHoldoffCount = InterruptHoldoffCount - 1;
    }
};

// Milliseconds; fractions count.
void pause(double milliseconds);

// The same, or shorter: until something comes for this session. Whether it did.
bool pause_until_woken(double milliseconds);

// Until every transaction of the database that there was when this began has ended, but for the `others`,
// and no longer than that. Without a snapshot of one's own.
void wait_for_older_transactions(double milliseconds, std::span<const VirtualTransactionId> others);

// Microseconds of a clock; for differences.
std::int64_t now();

// Between 0 and 1.
double random();

} // namespace procrastinate::server
