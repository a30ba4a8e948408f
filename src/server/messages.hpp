// Messages that are no errors.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

void notice(std::string_view message, std::string_view detail = {});
void warning(std::string_view message, std::string_view detail, std::string_view hint);

} // namespace procrastinate::server
