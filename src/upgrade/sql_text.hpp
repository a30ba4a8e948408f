// Positions in SQL text: the first byte of a statement behind blanks and comments, which servers
// before 18 count as part of the statement, and line numbers. Plain C++ without a server.
#pragma once

#include <cstddef>
#include <string_view>

namespace procrastinate::upgrade
{

// The number of bytes of blanks and comments that `text` begins with.
std::size_t leading_blank(std::string_view text);

// The line, counted from 1, of the byte at `position`.
int line_at(std::string_view text, std::size_t position);

} // namespace procrastinate::upgrade
