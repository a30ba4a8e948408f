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
// none. The name may have a suffix as in 3.10.0rc1 and 3.9.0.post1.
bool is_newer_release(std::string_view name);

// True for the name of any release, known or not, with or without a suffix and @pre.
bool is_release_name(std::string_view name);

// The newest known release of the minor version of such a name; null if there is none.
const Release *newest_of_minor(std::string_view name);

// True if later patch releases of the same minor version may have migrations: before 3.0.
bool may_migrate_in_patches(const Release &release);

// The release that a target, an end of a range or a release name is taken as, if that is assumed.
const Release *assumed_release(std::string_view name);

// The name without "@pre" at its end. Returns whether it was there.
bool remove_pre(std::string_view &name);

} // namespace procrastinate::chain
