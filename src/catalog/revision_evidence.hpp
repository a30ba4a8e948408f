// Evidence that a schema is at no other revision than the recorded one: a few functions, where
// reading the whole catalog takes a session's first call some 60 ms.
#pragma once

#include "chain/chain.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace procrastinate::catalog
{

// The bodies of the functions of one name in a schema, as md5 of pg_proc.prosrc; empty for one that
// is not known. Nothing if there are too many functions to tell.
using Bodies = std::optional<std::vector<std::string>>;
using BodiesOf = std::function<Bodies(std::string_view name)>;

// True if these functions alone are a difference from each revision but this one. False if they are
// not: revisions may differ in other objects only. Asks for each name once at most.
bool rules_out_others(chain::Revision revision, const BodiesOf &bodies_of);

} // namespace procrastinate::catalog
