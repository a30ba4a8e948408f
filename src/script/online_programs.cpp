#include "script/online_programs.hpp"

#include "chain/step.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"
#include "online/channels.hpp"
#include "online/column_replacement.hpp"
#include "online/fetch_barrier.hpp"
#include "script/script_parts.hpp"
#include "sql/batch_end.hpp"
#include "sql/batch_range.hpp"
#include "sql/batch_unchanged.hpp"
#include "sql/blockers.hpp"
#include "sql/column_replacement.hpp"
#include "sql/create_fetch_barrier.hpp"
#include "sql/fetch_barrier_grant.hpp"
#include "sql/fetch_functions.hpp"
#include "sql/notify_workers.hpp"
#include "sql/online_script_announce.hpp"
#include "sql/online_script_begin.hpp"
#include "sql/online_script_change_barrier.hpp"
#include "sql/online_script_check_column.hpp"
#include "sql/online_script_check_role.hpp"
#include "sql/online_script_check_use.hpp"
#include "sql/online_script_enter.hpp"
#include "sql/online_script_record.hpp"
#include "sql/online_script_retry.hpp"
#include "sql/online_script_run_batches.hpp"
#include "sql/online_script_run_step.hpp"
#include "sql/online_script_start.hpp"
#include "sql/online_script_start_build.hpp"
#include "sql/online_script_wait_for_clients.hpp"
#include "sql/script_check_policies.hpp"
#include "sql/script_check_unknown.hpp"
#include "sql/script_find_present.hpp"
#include "sql/sessions_in_use.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/foreign_objects.hpp"
#include "upgrade/locks.hpp"

#include <algorithm>

namespace procrastinate::script
{

namespace
{

using chain::Revision;
using common::quoted_literal;
using common::substitute;

// For format(): the schema, and the table in it.
constexpr std::string_view schema_placeholder = "%1$I";
constexpr std::string_view table_placeholder = "%1$I.%2$I";

// See online_script_begin.sql.
std::string place_of(Revision revision) { return "{" + std::to_string(revision + 1) + ",0}"; }

std::string enter()
{
    return substitute(sql::online_script_enter, {{"lock_history", lock_history()},
                                                 {"check_policies", sql::script_check_policies},
                                                 {"last_position", place_of(chain::head())},
                                                 {"is_own", is_own()}});
}

std::string record()
{
    const std::string values = "$1, $2, $3, $4, '" + script_version() + "'";
    return substitute(
        sql::online_script_record,
        {{"append", append_history(table_placeholder, values)}, {"is_own", is_own()}});
}

// Rows of the lock modes that statements name, and the modes that conflict with each.
std::string conflicts()
{
    std::string rows;
    for (const std::string_view mode :
         {"ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
          "EXCLUSIVE", "ACCESS EXCLUSIVE"})
    {
        std::string modes;
        for (const std::string &other : upgrade::conflicting_modes(mode))
            modes.append(modes.empty() ? "" : ",").append(other);
        rows.append(rows.empty() ? "" : ",\n            ")
            .append("('" + std::string(mode) + "', '{" + modes + "}'::text[])");
    }
    return rows;
}

std::string retry()
{
    return substitute(sql::online_script_retry,
                      {{"blockers", sql::blockers}, {"conflicts", conflicts()}});
}

std::string change_barrier()
{
    const online::BarrierText barrier = online::barrier_text();
    return substitute(
        sql::online_script_change_barrier,
        {{"before_lock", quoted_literal(barrier.before_lock)},
         {"before_look", quoted_literal(barrier.before_look)},
         {"before_body", quoted_literal(barrier.before_body)},
         {"after_body", quoted_literal(barrier.after_body)},
         {"create_table", substitute(sql::create_fetch_barrier, {{"schema", schema_placeholder}})},
         {"table_grant", sql::fetch_barrier_grant},
         {"fetch_functions",
          substitute(
              sql::fetch_functions,
              {{"is_settable", upgrade::is_settable_sql("v.name", upgrade::RunBy::script)}})}});
}

std::string check_column()
{
    const std::vector<chain::Step> steps = chain::steps(online::replaces_column);
    const auto batches = std::find_if(steps.begin(), steps.end(), [](const chain::Step &step) {
        return step.kind == chain::StepKind::batched;
    });
    return substitute(sql::online_script_check_column,
                      {{"column_replacement", sql::column_replacement},
                       {"batches", std::to_string(batches->number)}});
}

std::string run_step()
{
    return substitute(
        sql::online_script_run_step,
        {{"remember_grants", remember_grants()},
         {"copy_grants", copy_grants()},
         {"notify_workers", substitute(sql::notify_workers, {{"schema", schema_placeholder}})},
         {"first_of_new_channels", std::to_string(online::first_of_new_channels)},
         {"end_of_old_channels", std::to_string(online::end_of_old_channels)}});
}

std::string run_batches()
{
    return substitute(
        sql::online_script_run_batches,
        {{"batch_range", substitute(sql::batch_range, {{"table", table_placeholder}})},
         {"batch_end", substitute(sql::batch_end, {{"table", table_placeholder}})},
         {"batch_unchanged", substitute(sql::batch_unchanged,
                                        {{"table", table_placeholder}, {"condition", "%3$s"}})}});
}

std::string start()
{
    return substitute(sql::online_script_start,
                      {{"find_present", sql::script_find_present},
                       {"check_unknown", sql::script_check_unknown},
                       {"warn_of_timeouts", warn_of_timeouts("'statement_timeout'")},
                       {"follow_catalog", follow_catalog("lpad((place[1] - 1)::text, 4, '0')")},
                       {"adopt", adopt()}});
}

} // namespace

std::string online_programs(const catalog::Installation &installation, chain::Range range)
{
    return substitute(
        sql::online_script_begin,
        {{"check", set_check("SET")},
         {"schema", quoted_literal(installation.name)},
         {"names", upgrade::object_names()},
         {"range_start", place_of(range.start)},
         {"range_end", place_of(range.end)},
         {"start_name", chain::name(range.start)},
         {"end_name", chain::name(range.end)},
         {"announce", sql::online_script_announce},
         {"check_role", substitute(sql::online_script_check_role, {{"check_role", check_role()}})},
         {"enter", enter()},
         {"record", record()},
         {"retry", retry()},
         {"wait_for_clients", sql::online_script_wait_for_clients},
         {"change_barrier", change_barrier()},
         {"check_column", check_column()},
         {"start", start()},
         {"run_step", run_step()},
         {"run_batches", run_batches()},
         {"start_build", sql::online_script_start_build},
         {"check_use",
          substitute(sql::online_script_check_use,
                     {{"sessions_in_use", sql::sessions_in_use},
                      {"end_of_old_channels", std::to_string(online::end_of_old_channels)},
                      {"is_own", is_own()}})}});
}

} // namespace procrastinate::script
