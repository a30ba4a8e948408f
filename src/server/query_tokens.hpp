// The tokens of a query's text, as the server's own scanner finds them.
#pragma once

#include "server/error_boundary.hpp"

#include <vector>

namespace procrastinate::server
{

struct QueryToken
{
    std::string word; // a keyword, or a name as the server folds it; empty for other tokens
    char symbol;      // '(', '.' and the like; '\0' for other tokens
};

// Comments are no tokens; strings and numbers are tokens without word and symbol. The list ends
// where the scanner finds an error, as in a text that track_activity_query_size has cut.
std::vector<QueryToken> query_tokens(std::string_view query);

} // namespace procrastinate::server
