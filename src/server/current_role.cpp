// The name of the current role.
#include "server/current_role.hpp"

namespace procrastinate::server
{

std::string current_role()
{
    return call([] { return GetUserNameFromId(GetUserId(), false); });
}

std::string quoted_current_role()
{
    return call([] { return quote_identifier(GetUserNameFromId(GetUserId(), false)); });
}

} // namespace procrastinate::server
