// NOTICE and WARNING messages to the client.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

using common::SourceLocation;

// The texts follow PostgreSQL's message style. An empty detail or hint is left out. \errverbose in
// psql shows `location`, the place of the call.
void notice(std::string_view message, std::string_view detail = {},
            SourceLocation location = SourceLocation::current());
void warning(std::string_view message, std::string_view detail, std::string_view hint,
             SourceLocation location = SourceLocation::current());

} // namespace procrastinate::server
