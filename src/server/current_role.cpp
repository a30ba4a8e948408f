// Names of roles.
#include "server/current_role.hpp"

namespace procrastinate::server
{

std::string role_name(Oid role)
{
    return call([role] { return GetUserNameFromId(role, false); });
}

std::string quoted_role_name(Oid role)
{
    return call([role] { return quote_identifier(GetUserNameFromId(role, false)); });
}

std::string session_role() { return role_name(GetSessionUserId()); }

std::string current_role() { return role_name(GetUserId()); }

std::string quoted_current_role() { return quoted_role_name(GetUserId()); }

} // namespace procrastinate::server
