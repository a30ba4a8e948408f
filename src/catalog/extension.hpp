// The version of the extension that is installed in the current database.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::catalog
{

// The version of procrastinate_migrate in pg_extension; empty if it is not installed.
std::string installed_version();

} // namespace procrastinate::catalog
