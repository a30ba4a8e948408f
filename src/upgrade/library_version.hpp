// Version of this library, to be compared with the extension's and written to the history.
#pragma once

#include <string_view>

namespace procrastinate::upgrade
{

// As default_version in the control file.
inline constexpr std::string_view library_version = "1.0.0";

} // namespace procrastinate::upgrade
