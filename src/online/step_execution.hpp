// The transaction of a step: its locks, its statements, its row in the history. Batches and
// concurrent builds have transactions of their own.
#pragma once

#include "online/step_log.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

// Locks the tables of the request, runs `statements` and the step's rest of its migration, gives
// new objects their privileges, and records the step. The caller commits. `lock_timeout`:
// milliseconds that each lock is waited for. Returns false if a lock could not be had; nothing has
// been done then. Runs inside an SPI connection.
//
// Locks: those of the request, in their order, then the history (SHARE ROW EXCLUSIVE). A concurrent
// step without locks in the request only records its index. A migration that is one step without
// locks takes those of procrastinate_upgrade().
bool execute_step(const catalog::Installation &installation, const LockRequest &request,
                  std::string_view statements, const upgrade::UpgradePath &path,
                  double lock_timeout, StepLog &step_log);

} // namespace procrastinate::online
