#include "chain/route.hpp"

#include "common/own_function.hpp"
#include "common/refusal.hpp"

#include <algorithm>
#include <deque>
#include <optional>

namespace procrastinate::chain
{

namespace
{

std::string in_words(const Release &release)
{
    return std::string(release.name) + " works on " + std::string(name(release.works_from)) +
           " to " + std::string(name(release.works_to));
}

// A deployed release, the revision at which it was deployed, and the stop before.
struct Stop
{
    const Release *release;
    Revision revision;
    std::optional<std::size_t> before;
};

// The oldest revision at which `next` can replace the code of a stop; nothing if there is none.
std::optional<Revision> meeting(const Stop &stop, const Release &next)
{
    const Revision revision = std::max(stop.revision, next.works_from);
    if (revision > std::min(stop.release->works_to, next.works_to))
        return std::nullopt;
    return revision;
}

enum class Bridges
{
    newer_only,
    any // an older release may support more revisions than the running one
};

// Searches breadth first. Returns the stops in the order in which they were reached, the last one
// at `to`; empty if `to` cannot be reached.
std::vector<Stop> search(const Release &from, const Release &to, Revision current, Bridges bridges)
{
    const std::span<const Release> all = releases();
    std::vector<bool> is_reached(all.size());
    std::vector<Stop> stops{{&from, current, std::nullopt}};
    for (std::size_t at = 0; at < stops.size(); ++at)
    {
        if (stops[at].release == &to)
        {
            stops.resize(at + 1);
            return stops;
        }
        for (std::size_t i = all.size(); i-- > 0;)
        {
            const Release &next = all[i];
            const bool goes_back =
                bridges == Bridges::newer_only && &next <= stops[at].release && &next != &to;
            const std::optional<Revision> revision = meeting(stops[at], next);
            if (is_reached[i] || goes_back || &next > std::max(&from, &to) || !revision)
                continue;
            is_reached[i] = true;
            stops.push_back({&next, *revision, at});
        }
    }
    return {};
}

void add_apply(std::vector<RouteStep> &steps, Revision revision, std::string reason)
{
    steps.push_back(
        {RouteStep::Action::apply, std::string(name(revision)), revision, std::move(reason)});
}

} // namespace

bool supports(const Release &release, Revision revision)
{
    return release.works_from <= revision && revision <= release.works_to;
}

std::vector<RouteStep> route(const Release &from, const Release &to, Revision current)
{
    const std::string none = "there is no way from " + std::string(from.name) + " to " +
                             std::string(to.name) + " without downtime";
    if (!supports(from, current))
        throw common::Refusal{common::sqlstate::no_route, none,
                              in_words(from) + ", and the schema is at " +
                                  std::string(name(current)) + ".",
                              "To see the releases and what they work on: SELECT * FROM " +
                                  common::own_function("procrastinate_releases") + "();"};
    std::vector<Stop> stops = search(from, to, current, Bridges::newer_only);
    if (stops.empty())
        stops = search(from, to, current, Bridges::any);
    if (stops.empty())
        throw common::Refusal{
            common::sqlstate::no_route, none,
            "No revision is supported by both the running code and a release that leads further: " +
                in_words(from) + ", " + in_words(to) + ".",
            current > to.works_to ? "There is no downgrade of a schema: restore a backup."
                                  : "Stop all workers and clients, upgrade to '" +
                                        std::string(to.name) + "', then deploy it."};

    std::deque<Stop> way;
    for (std::optional<std::size_t> at = stops.size() - 1; at; at = stops[*at].before)
        way.push_front(stops[*at]);
    std::vector<RouteStep> steps;
    for (std::size_t i = 1; i < way.size(); ++i)
    {
        const auto &[next, revision, before] = way[i];
        if (revision > way[i - 1].revision)
            add_apply(steps, revision,
                      in_words(*way[i - 1].release) + "; " + std::string(next->name) + " needs it");
        steps.push_back(
            {RouteStep::Action::deploy, std::string(next->name), revision, in_words(*next)});
    }
    if (way.back().revision < to.head)
        add_apply(steps, to.head,
                  "the schema that " + std::string(to.name) +
                      " expects, once no other code is left");
    return steps;
}

std::string advice(const Release &release, Revision revision, std::string_view schema)
{
    const std::string place = ", schema => " + std::string(schema) + ");";
    const std::string target = "('" + std::string(release.name);
    if (revision == base)
        return "SELECT " + common::own_function("procrastinate_upgrade") + target + "'" + place;
    if (revision < release.works_from)
        return "CALL " + common::own_function("procrastinate_migrate") + target + "@pre'" + place;
    const Release *other = &releases().back();
    for (const Release &candidate : releases())
        if (&candidate > &release && supports(candidate, revision))
        {
            other = &candidate;
            break;
        }
    return "Deploy " + std::string(other->name) + " or another release that works on " +
           std::string(name(revision)) + ": there is no downgrade.";
}

} // namespace procrastinate::chain
