// The current role: the one whose privileges count, which SET ROLE and a SECURITY DEFINER function
// change.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Its name, as it is in pg_roles.
std::string current_role();

// Its name as SQL writes it: in double quotes if it needs them.
std::string quoted_current_role();

} // namespace procrastinate::server
