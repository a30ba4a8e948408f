// The extension as this database has it installed.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::catalog
{

// The version of procrastinate_migrate in pg_extension; empty where it is not installed.
std::string installed_version();

} // namespace procrastinate::catalog
