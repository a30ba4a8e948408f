// Where a statement of a script really begins: servers before 18 count the blanks and comments in
// front of it as part of it. Plain C++ without a server.
#pragma once

#include <cstddef>
#include <string_view>

namespace procrastinate::upgrade
{

// How many bytes of blanks and comments `text` begins with.
std::size_t leading_blank(std::string_view text);

// The line, counted from 1, on which the byte at `position` stands.
int line_at(std::string_view text, std::size_t position);

} // namespace procrastinate::upgrade
