// Names of the table lock modes, as LOCK TABLE takes them.
#pragma once

#include <array>
#include <string_view>

namespace procrastinate::upgrade
{

// In the order of the server's numbers (LOCKMODE), which begin with 1.
inline constexpr std::array<std::string_view, 8> lock_modes{
    "ACCESS SHARE", "ROW SHARE",           "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE",
    "SHARE",        "SHARE ROW EXCLUSIVE", "EXCLUSIVE",     "ACCESS EXCLUSIVE"};

} // namespace procrastinate::upgrade
