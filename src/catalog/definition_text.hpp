// Names within the text of a definition or a statement. Plain data without a server.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::catalog
{

// The same text with the schema (quoted as an identifier) before each name of Procrastinate's that a
// statement looks up through search_path. Indexes, constraints and triggers are not: they are named
// within their table.
std::string qualified(std::string_view text, std::string_view schema);

bool has_word(std::string_view text, std::string_view word);

} // namespace procrastinate::catalog
