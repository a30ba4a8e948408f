// What all scripts for psql contain: SQL for the history, for checks, and for privileges.
#pragma once

#include <string>
#include <string_view>

namespace procrastinate::script
{

// The version in the history distinguishes what a script did from what the library did.
std::string script_version();

// Condition that a row of the history is of the database that runs the script.
std::string is_own();

// append_history.sql over expressions. `table` as the script needs it.
std::string append_history(std::string_view table, std::string_view values);

// Parts of DO blocks: script_check_role.sql and script_lock_history.sql.
std::string check_role();
std::string lock_history();

// For format() with the schema, the table, an event and a revision: records the revision.
std::string record_revision();

// Parts of DO blocks: script_adopt.sql and script_follow_catalog.sql. They need the setting that
// set_check() gives, a statement that begins with `set`: SET or SET LOCAL.
std::string adopt();
std::string follow_catalog(std::string_view recorded);
std::string set_check(std::string_view set);

// Part of DO blocks: script_warn_of_timeouts.sql for settings, which are literals.
std::string warn_of_timeouts(std::string_view settings);

// script_remember_grants.sql, a part of a DO block, and script_copy_grants.sql, a statement; both
// empty if procrastinate_migrate.copy_grants is off.
std::string remember_grants();
std::string copy_grants();

} // namespace procrastinate::script
