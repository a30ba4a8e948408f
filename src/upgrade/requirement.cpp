#include "upgrade/requirement.hpp"

#include "chain/release_name.hpp"
#include "chain/route.hpp"
#include "upgrade/notices.hpp"

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

} // namespace procrastinate::upgrade
