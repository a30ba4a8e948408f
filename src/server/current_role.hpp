// Names of roles. The current role is the one whose privileges count; SET ROLE, a SECURITY DEFINER
// function and RoleScope change it.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The name as it is in pg_roles. Throws ServerError 42704 if the role has been dropped.
std::string role_name(Oid role);
std::string current_role();
std::string session_role(); // whose session it is; SET ROLE does not change it

// The name as SQL writes it: in double quotes if it needs them.
std::string quoted_role_name(Oid role);
std::string quoted_current_role();

} // namespace procrastinate::server
