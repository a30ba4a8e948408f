// The transaction of a step that is no batch and no build: its locks, its statements, its row in the history.
#pragma once

#include "online/step_log.hpp"
#include "upgrade/upgrade_path.hpp"

namespace procrastinate::online
{

// Does the step in the transaction at hand, which the caller ends. False where it could not have a lock in
// so many milliseconds: nothing has been done then. Inside an SPI connection.
bool execute_step(const catalog::Installation &installation, const chain::Step &step,
                  const upgrade::UpgradePath &path, double lock_timeout, StepLog &step_log);

} // namespace procrastinate::online
