// Ranges of the chain: start:end, :end, start:, and : for all of it.
#pragma once

#include "chain/target.hpp"

namespace procrastinate::chain
{

// Both ends belong to a range; base belongs to none, so base:head is 0001 to head.
struct Range
{
    Revision start;
    Revision end;
};

// Throws Refusal as resolve_target does, and PM003 for what is no range or runs backwards.
Range resolve_range(std::string_view range, const CurrentRevision &current);

} // namespace procrastinate::chain
