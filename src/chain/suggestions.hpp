// Suggestions for a mistyped name: the revisions, files and releases that look most like it.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::chain
{

// At most three names, parted by commas, the most alike first; empty if none is alike enough.
std::string suggested_names(std::string_view typed);

} // namespace procrastinate::chain
