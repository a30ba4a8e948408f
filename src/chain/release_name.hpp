// Releases of Procrastinate by the names that users write: 3.9.0, v3.9.0, 3.9.
#pragma once

#include "chain/chain.hpp"

#include <optional>
#include <string_view>

namespace procrastinate::chain
{

struct NamedRelease
{
    const Release *release; // null: there is none
    // The name is a later patch release than those known. Since 3.0 no patch release has carried a
    // migration, so `release` is the newest known one of the same minor version.
    bool is_assumed;
};

// "3.9" is the newest known release of that minor version.
NamedRelease find_release(std::string_view name);

// True for the name of a release after all known ones, with or without @pre. find_release() finds
// none.
bool is_newer_release(std::string_view name);

// The release that a target, an end of a range or a release name is taken as, if that is assumed.
const Release *assumed_release(std::string_view name);

// The name without "@pre" at its end. Returns whether it was there.
bool remove_pre(std::string_view &name);

} // namespace procrastinate::chain
