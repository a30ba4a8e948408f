// What the last query of a session tells of the release whose code it runs.
#pragma once

#include "catalog/installation.hpp"

#include <string_view>
#include <vector>

namespace procrastinate::online
{

struct QueryUse
{
    std::string_view called; // one of the functions asked for; empty: none
    bool listens;            // for jobs
    bool listens_to_new;     // on a channel of release 3 or later
};

// Looks at the query's tokens, so that neither a comment nor a string counts as a call. A name
// before a parenthesis is a call, in DROP FUNCTION, too, unless another schema than the
// installation's qualifies it. A query that the server has cut is looked at as far as it goes. Runs
// inside an SPI connection.
QueryUse use_in(std::string_view query, const catalog::Installation &installation,
                const std::vector<std::string_view> &functions);

} // namespace procrastinate::online
