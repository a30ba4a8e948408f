// Who is in the way of a step.
#pragma once

#include "catalog/installation.hpp"

#include <string>

namespace procrastinate::online
{

// The sessions and prepared transactions that hold locks of the installation's tables or of its door,
// longest first: a line each of pid, role, application, how long, what; as far as the caller may know.
std::string blockers(const catalog::Installation &installation);

} // namespace procrastinate::online
