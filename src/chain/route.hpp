// The way from one Procrastinate release to another while workers run all the time: at every moment
// the schema is at a revision that all code at work on it supports.
#pragma once

#include "chain/chain.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace procrastinate::chain
{

struct RouteStep
{
    enum class Action
    {
        apply, // the migrations up to `revision`, by `target`
        deploy // `target`, a release, everywhere
    };
    Action action;
    std::string target;
    Revision revision; // that the schema is at afterwards
    std::string reason;
};

// With the fewest deployments, by newer releases if they will do, and of those that serve as well by the
// newest. Throws Refusal PM011 where there is no such way, or `from` does not support `current`.
std::vector<RouteStep> route(const Release &from, const Release &to, Revision current);

// Whether the code of a release works on a schema at the revision.
bool supports(const Release &release, Revision revision);

// For a revision that a release does not support: what to apply or deploy, as a sentence or a
// statement. `schema` is an SQL literal.
std::string advice(const Release &release, Revision revision, std::string_view schema);

} // namespace procrastinate::chain
