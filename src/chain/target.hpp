// The grammar of targets: the words by which users name a revision. Alembic's, and where Alembic is
// vague, stricter: every target is matched to its end, and nothing is guessed.
#pragma once

#include "chain/chain.hpp"
#include "common/refusal.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace procrastinate::chain
{

// Where an installation stands; without a revision where nobody can tell, and then why.
struct CurrentRevision
{
    std::optional<Revision> revision;
    std::string_view why_unknown = "no schema has been selected"; // a clause
    std::string_view sqlstate_of_unknown = common::sqlstate::undefined_schema;
};

// The longest target or range that is looked at, in bytes.
inline constexpr std::size_t longest_name = 128;

// The revision that a target names. Throws Refusal: PM001 where there is none or more than one,
// PM002 where a relative target leaves the chain, the current's own where it needs the current
// revision and nobody can tell.
Revision resolve_target(std::string_view target, const CurrentRevision &current);

// As above, but a relative target that overshoots ends at base or head, and a bare -N counts back
// from `anchor`: for the ends of a range.
Revision resolve_range_end(std::string_view target, const CurrentRevision &current,
                           std::optional<Revision> anchor);

// The release of that name, with or without a v. Throws Refusal PM001 where there is none.
const Release &resolve_release(std::string_view name);

// A user's word for an error message: shortened, never cut inside a character.
std::string excerpt(std::string_view text);

} // namespace procrastinate::chain
