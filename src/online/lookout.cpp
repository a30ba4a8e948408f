#include "online/lookout.hpp"

#include "common/refusal.hpp"
#include "online/replaced_column.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/privileges.hpp"
#include "upgrade/requirements.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

using chain::Revision;
using upgrade::Journey;

void Lookout::enter() const
{
    upgrade::require_changeable("procrastinate_migrate()");
    upgrade::require_sight(installation_);
    upgrade::lock(installation_);
}

Journey Lookout::look()
{
    const Journey journey = upgrade::plan_journey(installation_, target_, goal_);
    if (journey.is_over())
        return journey;
    upgrade::hold_name(installation_);
    upgrade::require_current_rows(true);
    // Once for all revisions, and again where another session has been at work in between, or
    // another call before the migration under way.
    const bool is_unknown = journey.current != expected_ && !journey.under_way;
    if (is_unknown)
        upgrade::require_fit(installation_, journey.current, journey.target, journey.has_history);
    else if (!goal_)
        upgrade::require_rights(installation_);
    if ((is_unknown || !goal_) && journey.current != chain::base)
        require_replaceable(installation_, journey);
    if (!goal_)
        is_new_ = !journey.under_way && journey.current == chain::base;
    // Another session goes by steps, and may have built ahead what a whole migration would not use.
    else if (journey.under_way || is_unknown)
        is_new_ = false;
    if (!journey.under_way)
        expected_ = journey.current;
    goal_ = journey.target;
    return journey;
}

chain::Step Lookout::next_step(const Journey &journey) const
{
    const Revision revision = journey.current + 1;
    if (is_new_)
        return chain::whole_step(revision);
    const std::vector<chain::Step> left = chain::steps_left(
        revision, journey.under_way ? journey.under_way->number : 0, journey.target);
    if (left.empty())
        throw common::Refusal{common::sqlstate::unknown_history,
                              "migration " + std::string(chain::name(revision)) +
                                  " is under way by steps that this version does not know",
                              "A newer version has been at work here.",
                              "Install the newer version, then run ALTER EXTENSION "
                              "procrastinate_migrate UPDATE;"};
    return left.front();
}

void Lookout::arrive(Revision revision)
{
    if (expected_)
        expected_ = revision;
}

chain::Step step_of_look()
{
    chain::Step step{};
    step.title = "where the schema stands";
    // Those with rows that a migration may fail at, and with workers that still need what it drops; whether 0024
    // may update events.
    for (const char *const table :
         {"procrastinate_jobs", "procrastinate_periodic_defers", "procrastinate_workers"})
        step.locks.push_back({table, "ACCESS SHARE"});
    step.locks.push_back({"procrastinate_events", "ROW EXCLUSIVE"});
    return step;
}

} // namespace procrastinate::online
