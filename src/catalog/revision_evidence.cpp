#include "catalog/revision_evidence.hpp"

#include "chain/facts.hpp"

#include <algorithm>
#include <set>

namespace procrastinate::catalog
{

namespace
{

using chain::FunctionBody;
using chain::Revision;

std::string_view name_of(const FunctionBody &body)
{
    return body.signature.substr(0, body.signature.find('('));
}

// The known bodies of the functions of one name.
class KnownBodies
{
  public:
    explicit KnownBodies(std::string_view name)
    {
        for (const FunctionBody &body : chain::function_bodies())
            if (name_of(body) == name)
                bodies_.push_back(&body);
    }

    // True if the functions of the name can tell one revision from another.
    bool differ(Revision one, Revision other) const
    {
        return std::any_of(bodies_.begin(), bodies_.end(), [one, other](const auto *body) {
            return chain::is_at(*body, one) != chain::is_at(*body, other);
        });
    }

    // True if a schema at the revision would have other functions of the name. One that is changed
    // in white space only is the same.
    bool contradict(const std::vector<std::string> &found, Revision revision) const
    {
        if (found.empty())
            return std::any_of(bodies_.begin(), bodies_.end(), [revision](const auto *body) {
                return chain::is_at(*body, revision);
            });
        return std::any_of(found.begin(), found.end(), [this, revision](const auto &md5) {
            const auto has_md5 = [&md5](const auto *body) { return body->md5 == md5; };
            const auto known = std::find_if(bodies_.begin(), bodies_.end(), has_md5);
            return known != bodies_.end() && !is_body_at(**known, revision);
        });
    }

  private:
    bool is_body_at(const FunctionBody &known, Revision revision) const
    {
        return std::any_of(bodies_.begin(), bodies_.end(), [&known, revision](const auto *body) {
            return chain::is_at(*body, revision) &&
                   (body->md5 == known.md5 ||
                    (!body->stripped_md5.empty() && body->stripped_md5 == known.stripped_md5));
        });
    }

    std::vector<const FunctionBody *> bodies_;
};

} // namespace

bool rules_out_others(Revision revision, const BodiesOf &bodies_of)
{
    std::vector<Revision> others;
    for (Revision other = chain::base; other <= chain::head(); ++other)
        if (other != revision)
            others.push_back(other);
    std::set<std::string_view> asked;
    const auto bodies = chain::function_bodies();
    // The newest first: at head its body rules out all others.
    for (auto body = bodies.rbegin(); body != bodies.rend(); ++body)
    {
        const std::string_view name = name_of(*body);
        if (others.empty())
            break;
        if (!asked.insert(name).second)
            continue;
        const KnownBodies known(name);
        if (std::none_of(others.begin(), others.end(),
                         [&](Revision other) { return known.differ(revision, other); }))
            continue;
        if (const Bodies found = bodies_of(name))
            std::erase_if(others, [&](Revision other) { return known.contradict(*found, other); });
    }
    return others.empty();
}

} // namespace procrastinate::catalog
