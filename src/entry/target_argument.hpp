// Arguments that name a revision or a release.
#pragma once

#include "chain/chain.hpp"
#include "server/arguments.hpp"

#include <string_view>

namespace procrastinate::entry
{

// The text of a target or release. WARNING if it is a release that this version does not know and
// takes as an earlier one. Throws Refusal 22004 if it is NULL.
std::string_view target_argument(const server::Arguments &arguments, int number, const char *name);

// A release. WARNING as above. Throws Refusal 22004 if it is NULL, PM001 if there is none of that
// name.
const chain::Release &release_argument(const server::Arguments &arguments, int number,
                                       const char *name);

// The text of a range. As above, for each end.
std::string_view range_argument(const server::Arguments &arguments, int number, const char *name);

} // namespace procrastinate::entry
