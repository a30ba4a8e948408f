// Routes: the deployments and upgrades that lead from one Procrastinate release to another without
// downtime. At each moment the schema is at a revision that all running code supports.
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
        apply, // upgrade the schema to `target`, which is `revision`
        deploy // replace all running code by the release `target`
    };
    Action action;
    std::string target;
    Revision revision; // of the schema after the step
    std::string reason;
};

// The route with the fewest deployments. Older releases than `from` are used only if no newer one
// will do; of releases that serve alike the newest is used. Throws Refusal PM011 if there is no
// route, or if `from` does not support `current`.
std::vector<RouteStep> route(const Release &from, const Release &to, Revision current);

// True if the code of the release works on a schema at the revision.
bool supports(const Release &release, Revision revision);

// What to do if a release does not support the schema's revision: a statement to run or a sentence.
// `schema` is an SQL literal.
std::string advice(const Release &release, Revision revision, std::string_view schema);

} // namespace procrastinate::chain
