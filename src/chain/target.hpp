// Targets: the names by which users choose a revision, as in Alembic. Stricter where Alembic
// guesses: a name is matched as a whole, and a prefix only if it is the prefix of one file.
#pragma once

#include "chain/chain.hpp"
#include "common/refusal.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::chain
{

// The current revision of an installation, or the reason why it is unknown.
struct CurrentRevision
{
    std::optional<Revision> revision;
    std::string_view why_unknown = "no schema has been selected"; // a clause for a message
    std::string_view sqlstate_of_unknown = common::sqlstate::undefined_schema;
};

// The longest target or range that is read, in bytes.
inline constexpr std::size_t longest_name = 128;

// The revision that a target names. Throws Refusal: PM001 if there is none or more than one, PM002
// if a relative target leaves the chain, `sqlstate_of_unknown` if the target counts from the
// current revision and that is unknown.
Revision resolve_target(std::string_view target, const CurrentRevision &current);

// The revision that an end of a range names. As above, but a relative target that leaves the chain
// stops at base or head, and -N without a name counts back from `anchor`.
Revision resolve_range_end(std::string_view target, const CurrentRevision &current,
                           std::optional<Revision> anchor);

// The release of that name (chain/release_name.hpp). Throws Refusal PM001 if there is none.
const Release &resolve_release(std::string_view name);

// A user's text for a message: the first 64 bytes and "...", never cut inside a character.
std::string excerpt(std::string_view text);

} // namespace procrastinate::chain
