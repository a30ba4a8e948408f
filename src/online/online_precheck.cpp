#include "online/online_precheck.hpp"

#include "common/refusal.hpp"
#include "online/column_replacement.hpp"
#include "online/fetch_barrier.hpp"
#include "upgrade/readiness.hpp"
#include "upgrade/row_security.hpp"
#include "upgrade/timeouts.hpp"

#include <vector>

namespace procrastinate::online
{

using chain::Revision;
using upgrade::UpgradePath;

void OnlinePrecheck::lock_installation() { change_.enter(); }

UpgradePath OnlinePrecheck::read_path()
{
    const UpgradePath path = change_.read_path(named_target_, target_);
    if (path.reached_target())
        return path;
    const bool is_first = !target_;
    // Another session, or an earlier call, may have changed the catalog.
    const bool is_unknown = path.current != compared_ && !path.under_way;
    change_.prepare(upgrade::Isolation::read_committed, is_unknown || is_first
                                                            ? upgrade::Privileges::required
                                                            : upgrade::Privileges::checked_before);
    upgrade::require_no_forced_policies(installation_);
    if (is_unknown)
        upgrade::require_ready(installation_, path.current, path.target);
    else if (is_first && path.current != chain::base)
        upgrade::require_no_refused_rows(installation_, path.current, path.target);
    if ((is_unknown || is_first) && path.current != chain::base)
    {
        require_replaceable(installation_, path);
        require_barrier_settings(installation_, path);
    }
    if (is_first)
    {
        upgrade::warn_of_timeouts(installation_, path, upgrade::Transactions::many);
        if (path.is_direct())
            unit_ = Unit::installation;
        else if (path.current == chain::base && !path.under_way)
            unit_ = Unit::migration;
    }
    // Another session that goes by steps may have built an index ahead, which a whole migration
    // does not use.
    else if (path.under_way || is_unknown)
        unit_ = Unit::step;
    if (!path.under_way)
        compared_ = path.current;
    target_ = path.target;
    return path;
}

chain::Step OnlinePrecheck::next_step(const UpgradePath &path) const
{
    const Revision revision = path.current + 1;
    if (unit_ != Unit::step)
        return chain::whole_step(revision);
    const std::vector<chain::Step> left =
        chain::steps_left(revision, path.under_way ? path.under_way->number : 0, path.target);
    if (left.empty())
        throw common::Refusal{common::sqlstate::unknown_history,
                              "migration " + std::string(chain::name(revision)) +
                                  " is under way by steps that this version does not know",
                              "A newer version of the library has run some of its steps.",
                              "Install the newer version, then run ALTER EXTENSION "
                              "procrastinate_migrate UPDATE;"};
    return left.front();
}

void OnlinePrecheck::migration_ended(Revision revision)
{
    if (compared_)
        compared_ = revision;
}

} // namespace procrastinate::online
