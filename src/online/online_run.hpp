// procrastinate_migrate(): an upgrade in many short transactions, while clients work.
#pragma once

#include "online/call_options.hpp"

namespace procrastinate::online
{

// Upgrades the installation to the target, step by step: migrations/online/ says which steps a
// migration has. Each step is committed; the next call goes on after the last one. At the target it
// does nothing, with a NOTICE. Must run in a procedure that may commit, outside of an SPI
// connection.
//
// Locks: the installation's advisory lock in each transaction but those of concurrent index builds;
// the locks of the steps, each waited for at most options.lock_timeout milliseconds at a time.
//
// Throws Refusal as upgrade::upgrade() does; 55P03 with the blockers if a step could not have its
// locks for options.retry_for milliseconds; PM013 if code of older releases is in use; 53400 if the
// server has no free background worker; 55000 if a trigger or a rule keeps rows from being changed.
void migrate(const catalog::Installation &installation, std::string_view target,
             const CallOptions &options);

} // namespace procrastinate::online
