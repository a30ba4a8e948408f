// Ranges of revisions as users write them: start:end, :end, start:, and : for the whole chain.
#pragma once

#include "chain/target.hpp"

namespace procrastinate::chain
{

// A range includes both ends. Base is no migration, so base:head is 0001 to head.
struct Range
{
    Revision start;
    Revision end;
};

// The revisions that a range names. Throws Refusal as resolve_range_end() does, and PM003 for a
// text that is no range or a range that ends before it begins.
Range resolve_range(std::string_view range, const CurrentRevision &current);

} // namespace procrastinate::chain
