// Who is in the way of a step.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "online/patience.hpp"

#include <string>

namespace procrastinate::online
{

// Of a step that could not have its locks, on the way to `goal`: throws Refusal 55P03 with the sessions and
// prepared transactions that hold locks in its way, longest first: a line each of pid, role, application, how
// long, what; as far as the caller may know. Where nobody does, those with any locks of the installation's
// tables, whose rows may be what it waits for. Inside an SPI connection and under a search_path of the
// server's own.
[[noreturn]] void give_up(const catalog::Installation &installation, const chain::Step &step,
                          chain::Revision goal, const Patience &patience);

// The locks that one of the step's has to wait for, as pg_locks names them: "procrastinate_jobs ShareLock, …".
std::string conflicts_of(const chain::Step &step);

} // namespace procrastinate::online
