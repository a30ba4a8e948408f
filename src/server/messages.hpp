// NOTICE and WARNING messages to the client.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// The texts follow PostgreSQL's message style. An empty detail or hint is left out.
void notice(std::string_view message, std::string_view detail = {});
void warning(std::string_view message, std::string_view detail, std::string_view hint);

} // namespace procrastinate::server
