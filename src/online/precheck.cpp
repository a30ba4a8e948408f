#include "online/precheck.hpp"

#include "common/refusal.hpp"
#include "online/column_replacement.hpp"
#include "upgrade/readiness.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

using chain::Revision;
using upgrade::UpgradePath;

void Precheck::enter() const { change_.enter(); }

UpgradePath Precheck::look()
{
    const UpgradePath path = change_.plan(target_, goal_);
    if (path.reached_target())
        return path;
    // Once for all revisions, and again where another session has been at work in between, or
    // another call before the migration under way.
    const bool is_unknown = path.current != expected_ && !path.under_way;
    change_.prepare(upgrade::Isolation::read_committed, is_unknown || !goal_
                                                            ? upgrade::Privileges::required
                                                            : upgrade::Privileges::checked_before);
    if (is_unknown)
        upgrade::require_ready(installation_, path.current, path.target, path.has_history);
    if ((is_unknown || !goal_) && path.current != chain::base)
        require_replaceable(installation_, path);
    if (!goal_)
        is_new_ = !path.under_way && path.current == chain::base;
    // Another session goes by steps, and may have built ahead what a whole migration would not use.
    else if (path.under_way || is_unknown)
        is_new_ = false;
    if (!path.under_way)
        expected_ = path.current;
    goal_ = path.target;
    return path;
}

chain::Step Precheck::next_step(const UpgradePath &path) const
{
    const Revision revision = path.current + 1;
    if (is_new_)
        return chain::whole_step(revision);
    const std::vector<chain::Step> left =
        chain::steps_left(revision, path.under_way ? path.under_way->number : 0, path.target);
    if (left.empty())
        throw common::Refusal{common::sqlstate::unknown_history,
                              "migration " + std::string(chain::name(revision)) +
                                  " is under way by steps that this version does not know",
                              "A newer version has been at work here.",
                              "Install the newer version, then run ALTER EXTENSION "
                              "procrastinate_migrate UPDATE;"};
    return left.front();
}

void Precheck::arrive(Revision revision)
{
    if (expected_)
        expected_ = revision;
}

chain::Step precheck_step()
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
