// Quoting of names and texts in SQL, in plain C++ without a server.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::common
{

// The text with each of the special characters doubled.
std::string doubled(std::string_view text, std::string_view special);

// A name as an identifier, always in double quotes.
std::string quoted_identifier(std::string_view name);

// A text as a string literal, as the server's quote_literal() makes it: with backslashes it is an
// E'...' literal, which means the same whatever standard_conforming_strings is.
std::string quoted_literal(std::string_view text);

} // namespace procrastinate::common
