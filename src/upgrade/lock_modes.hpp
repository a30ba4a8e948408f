// The locks of tables, by the server's numbers of them (LOCKMODE), from 1.
#pragma once

#include <array>
#include <string_view>

namespace procrastinate::upgrade
{

inline constexpr std::array<std::string_view, 8> lock_modes{
    "ACCESS SHARE", "ROW SHARE",           "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE",
    "SHARE",        "SHARE ROW EXCLUSIVE", "EXCLUSIVE",     "ACCESS EXCLUSIVE"};

} // namespace procrastinate::upgrade
