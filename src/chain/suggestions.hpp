// The names on the chain that look most like a mistyped one: for hints.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::chain
{

// "head, heads" …; empty where nothing is near.
std::string suggested_names(std::string_view typed);

} // namespace procrastinate::chain
