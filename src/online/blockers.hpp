// Who is in the way of a step.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "online/call_options.hpp"
#include "online/lock_retry.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

// Sessions and prepared transactions that hold locks in the way of a step, longest first: a line each of pid,
// role, application, how long, what; as far as the caller may know. Where nobody does, those that may have rows
// of the step's tables; else those with any locks of the installation's. To be asked while the step's transaction still
// has the lock of the installation, if it could have that: who has it by then is in the way. Inside an SPI
// connection and under a search_path of the server's own.
struct Blockers
{
    std::string text;
    // Of those of the first two kinds that may have been there for as long as a lock was waited for; 0: prepared
    // transactions.
    std::vector<pid_t> pids;
};
Blockers blockers(const catalog::Installation &installation, const chain::Step &step,
                  double lock_timeout);

// Of a step that could not have its locks, on the way to `target`, as the caller may name it: throws Refusal 55P03.
// Inside a transaction.
[[noreturn]] void give_up(const catalog::Installation &installation, const chain::Step &step,
                          const std::string &target, const CallOptions &options,
                          const LockRetry &lock_retry, const std::string &blockers);

} // namespace procrastinate::online
