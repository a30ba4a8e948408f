// NOTICEs and WARNINGs about an installation and its upgrade, and the words for revisions,
// migrations and steps that messages share.
#pragma once

#include "upgrade/installation_state.hpp"

#include <string>

namespace procrastinate::upgrade
{

// "0038 (head)", or "0037"
std::string display_name(chain::Revision revision);

// "migration 0031 (03.00.00_50_post_cancel_notification.sql)"
std::string migration_label(const chain::Migration &migration);

// "Running upgrade 0030 -> 0031, Migration: post cancel notification", as Alembic logs it.
std::string running_upgrade(const chain::Migration &migration);

// The time since `started`, with its unit: "12.3 ms".
std::string time_since(TimestampTz started);

// What a history with events of this database ends with: the last event, or of a migration under
// way "0024: 3 of 8 done". Short, for a column of procrastinate_current().
std::string source_text(const InstallationState &state);

// WARNING if the history ends at a revision or step that this version does not know.
void warn_of_unknown_history(const InstallationState &state,
                             const catalog::Installation &installation);

// Says that the target is reached, or was passed: "at 0038 (head), past 0037 (3.9.0@pre)".
// `target_name` is what the caller asked for.
void notice_nothing_to_do(const catalog::Installation &installation, chain::Revision current,
                          chain::Revision target, std::string_view target_name);
// The same if the target was passed, for functions that list what is left.
void notice_if_past(const catalog::Installation &installation, chain::Revision current,
                    chain::Revision target, std::string_view target_name);
// Says that nothing is there to compare or to change.
void notice_no_objects(const catalog::Installation &installation);
void notice_begin(const chain::Migration &migration);
void notice_end(const chain::Migration &migration, TimestampTz started);

} // namespace procrastinate::upgrade
