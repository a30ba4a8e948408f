// A gate for deployments: to go on once the schema is ready.
#pragma once

#include "catalog/installation.hpp"

#include <optional>

namespace procrastinate::online
{

// Returns when the installation is at the target or later; without a snapshot meanwhile, so that nothing
// waits for it. Whoever changes it notifies procrastinate_schema, which wakes this up; where nobody can be
// notified, as on a standby, it looks once a second. Throws Refusal PM014 after so many milliseconds, PM001
// to PM003 for a target that is none.
void wait(const catalog::Installation &installation, std::string_view target,
          std::optional<double> milliseconds);

} // namespace procrastinate::online
