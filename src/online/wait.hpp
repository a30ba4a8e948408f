// procrastinate_wait(): returns once the installation is at a target, for deployments.
#pragma once

#include "catalog/installation.hpp"

#include <optional>

namespace procrastinate::online
{

// Returns when the installation is at the target or later; for a release, when the release works on
// it, as procrastinate_supports() answers. Each change of the revision notifies the channel
// procrastinate_schema, which wakes the session; without notifications, as on a standby, it reads
// the history once a second. It has no snapshot and no lock in between, so that nothing waits for
// it. Throws Refusal PM004 if it is past what the release works on, PM009 if differences break
// Procrastinate at a revision that the release works on, PM014 after `milliseconds` (without a
// value it waits without a limit), PM001 and PM002 if the target is invalid, PM005 or PM006 if it
// counts from a revision that is not known, PM010 if the history is not a plain table, 3F000 if the
// schema is dropped, 42501 if the caller may not use it. Must run in a procedure that may commit,
// outside of an SPI connection.
void wait(const catalog::Installation &installation, std::string_view target,
          std::optional<double> milliseconds);

} // namespace procrastinate::online
