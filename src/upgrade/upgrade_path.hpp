// Where an installation stands and where a call shall take it; and how a call tells of that.
#pragma once

#include "upgrade/history.hpp"

namespace procrastinate::upgrade
{

struct UpgradePath
{
    chain::Revision current;
    chain::Revision target;
    bool has_history;
    std::optional<chain::StepName> under_way; // the last step done of the next migration
    std::optional<TimestampTz> began;         // that migration

    bool reached_target() const { return current >= target; }
};

// With the lock held. `goal` is the target where it has been resolved before. Throws Refusal PM001 to
// PM006 and PM009 where the target cannot be reached from there.
UpgradePath plan_upgrade_path(const catalog::Installation &installation, std::string_view target,
                              std::optional<chain::Revision> goal = {});

// "0038 (head)"
std::string in_words(chain::Revision revision);

// "migration 0031 (03.00.00_50_post_cancel_notification.sql)"
std::string label_of(const chain::Migration &migration);

// The time that something took until now, with its unit.
std::string time_since(TimestampTz started);

void tell_nothing_to_do(const catalog::Installation &installation, chain::Revision revision);
void tell_begin(const chain::Migration &migration);
void tell_end(const chain::Migration &migration, TimestampTz started);

} // namespace procrastinate::upgrade
