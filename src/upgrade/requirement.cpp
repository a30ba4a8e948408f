#include "upgrade/requirement.hpp"

#include "chain/release_name.hpp"
#include "chain/route.hpp"
#include "upgrade/notices.hpp"

#include <algorithm>

namespace procrastinate::upgrade
{

Requirement::Requirement(std::string_view target, const chain::CurrentRevision &current)
    : release_(chain::find_release(target).release),
      revision_(chain::resolve_target(target, current))
{
}

Met Requirement::by(chain::Revision current) const
{
    if (release_ == nullptr)
        return current >= revision_ ? Met::yes : Met::not_yet;
    if (chain::supports(*release_, current))
        return Met::yes;
    return current > release_->works_to ? Met::never : Met::not_yet;
}

std::string Requirement::text() const
{
    if (release_ == nullptr)
        return "at " + display_name(revision_);
    return "at a revision that " + std::string(release_->name) + " works on (" +
           std::string(chain::name(release_->works_from)) + " to " +
           std::string(chain::name(release_->works_to)) + ")";
}

std::string Requirement::pending_after(chain::Revision current) const
{
    constexpr chain::Revision most_named = 5;
    const chain::Revision last_named = std::min(revision_, current + most_named);
    std::string names;
    for (chain::Revision revision = current + 1; revision <= last_named; ++revision)
    {
        const std::string_view phase = chain::phase_name(chain::migration(revision).phase);
        names.append(names.empty() ? "" : ", ").append(chain::name(revision));
        if (!phase.empty())
            names.append(" (").append(phase).append(")");
    }
    if (last_named < revision_)
        names += " and " + std::to_string(revision_ - last_named) + " more";
    return "It is at " + std::string(chain::name(current)) + ". Pending: " + names + ".";
}

} // namespace procrastinate::upgrade
