// Sessions and prepared transactions whose locks keep a call waiting, and the error that names
// them.
#pragma once

#include "catalog/installation.hpp"
#include "online/call_options.hpp"
#include "online/lock_request.hpp"
#include "online/lock_retry.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

struct Blockers
{
    // At most five lines, the oldest transaction first: pid, role, application, how long, locks,
    // query, as far as the caller may see them. Never empty.
    std::string text;
    // Those whose transaction is at least as old as the lock wait; 0: prepared transactions.
    std::vector<pid_t> pids;
};

// The blockers of the request now, by src/sql/blockers.sql. `lock_timeout`:
// milliseconds for which the locks were waited for. Runs inside an SPI connection and under a
// search_path of the server's own, in the transaction that asked for the locks, since that one may
// hold the installation's lock.
Blockers blockers_of(const catalog::Installation &installation, const LockRequest &request,
                     double lock_timeout);

// Throws Refusal 55P03: the call gives the request up. `target`: as the caller may name it;
// `blockers`: the text of blockers_of(), or what a background worker said. Runs inside a
// transaction.
[[noreturn]] void give_up(const catalog::Installation &installation, const LockRequest &request,
                          const std::string &target, const CallOptions &options,
                          const LockRetry &lock_retry, const std::string &blockers);

} // namespace procrastinate::online
