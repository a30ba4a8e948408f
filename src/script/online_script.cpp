// The text of each step sets what differs between steps, and runs a program of
// src/sql/online_script_begin.sql.
#include "script/online_script.hpp"

#include "chain/step.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"
#include "online/column_replacement.hpp"
#include "online/in_use_check.hpp"
#include "script/offline_script.hpp"
#include "script/online_programs.hpp"
#include "sql/online_script_at_base.hpp"
#include "sql/online_script_build.hpp"
#include "sql/online_script_unless_passed.hpp"
#include "upgrade/library_version.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/script_execution.hpp"

#include <algorithm>
#include <vector>

namespace procrastinate::script
{

namespace
{

using catalog::Installation;
using chain::Revision;
using chain::Step;
using chain::StepKind;
using common::quoted_literal;

std::string join(const std::vector<std::string> &texts, std::string_view separator)
{
    std::string joined;
    for (const std::string &text : texts)
        joined.append(joined.empty() ? "" : separator).append(text);
    return joined;
}

// A position in the chain: see online_script_begin.sql.
std::string position(Revision revision, int done)
{
    return "{" + std::to_string(revision) + "," + std::to_string(done) + "}";
}

std::string setting(std::string_view name, const std::string &value)
{
    return "SET procrastinate_script." + std::string(name) + " = " + quoted_literal(value) + ";\n";
}

std::string run(std::string_view program)
{
    return "DO :'procrastinate_" + std::string(program) + "';\n";
}

std::string unless_passed(std::string_view condition, const std::string &place,
                          const std::string &part)
{
    return common::substitute(sql::online_script_unless_passed,
                              {{"condition", condition}, {"position", place}, {"part", part}});
}

// "procrastinate_jobs ACCESS EXCLUSIVE, procrastinate_version ACCESS EXCLUSIVE if there"
std::string locks_of(const Step &step)
{
    std::vector<std::string> locks;
    if (step.kind != StepKind::concurrent)
        for (const chain::StepLock &lock : step.all_locks())
            locks.push_back(std::string(lock.table) + " " + std::string(lock.mode) +
                            (lock.may_be_gone ? " if there" : ""));
    else
        locks.push_back(std::string(step.table) + " SHARE UPDATE EXCLUSIVE");
    if (step.count == 1 && locks.empty() &&
        upgrade::tables_of(step.revision - 1, step.revision) == upgrade::Tables::history_and_jobs)
        locks.emplace_back("procrastinate_jobs ACCESS EXCLUSIVE");
    return join(locks, ", ");
}

std::string statements_of(const Step &step)
{
    std::string sql(step.sql);
    const std::string rest = upgrade::rest_of(chain::migration(step.revision).sql, step.rest);
    return sql + (sql.empty() || rest.empty() ? "" : "\n") + rest;
}

std::string barrier_of(const Step &step)
{
    switch (step.barrier)
    {
    case Step::install:
        return "install";
    case Step::close:
        return "close";
    case Step::remove:
        return "remove";
    case Step::none:
        break;
    }
    return "";
}

// A dollar quote that the text does not contain.
std::string dollar_quoted(const std::string &text)
{
    std::string tag = "$step$";
    while (text.find(tag) != std::string::npos)
        tag.insert(1, "_");
    return tag + "\n" + text + "\n" + tag;
}

// Indexes of steps between two that only a later target needs: a run to it may have left them
// invalid.
std::vector<std::string> skipped_indexes(const Step &step, int after)
{
    std::vector<std::string> indexes;
    for (const Step &skipped : chain::steps(step.revision))
        if (skipped.number > after && skipped.number < step.number && !skipped.index.empty())
            indexes.emplace_back(skipped.index);
    return indexes;
}

std::vector<std::string> new_indexes(Revision revision)
{
    std::vector<std::string> indexes;
    const std::vector<std::string> ahead = chain::built_ahead(revision);
    for (const Step &step : chain::steps(revision))
        if (step.kind == StepKind::concurrent &&
            std::find(ahead.begin(), ahead.end(), step.index) == ahead.end())
            indexes.emplace_back(step.index);
    return indexes;
}

// CREATE INDEX CONCURRENTLY cannot run in a function or a block: psql runs it.
std::string build(const Step &step, int after)
{
    return setting("build_table", std::string(step.table)) +
           setting("skipped", join(skipped_indexes(step, after), " ")) +
           setting("new_indexes", join(new_indexes(step.revision), " ")) +
           "SET procrastinate_script.sql = " + dollar_quoted(std::string(step.sql)) + ";\n" +
           sql::online_script_build;
}

// `after`: the number of the step before that is in the script.
std::string run_step(const Step &step, int after)
{
    const std::string name = step.name();
    std::string about =
        "step " + name + " of " + std::to_string(step.count) + ": " + std::string(step.title);
    const bool replaces_column = step.revision == online::replaces_column;
    const std::string settings =
        setting("step", position(step.revision, step.number)) +
        setting("steps", std::to_string(step.count)) + setting("after", std::to_string(after)) +
        setting("title", "step " + name) + setting("about", step.count > 1 ? about : "") +
        setting("locks", locks_of(step)) + setting("barrier", barrier_of(step)) +
        setting("index", std::string(step.index)) +
        setting("checks_column",
                replaces_column && step.count > 1 && (step.number == 1 || step.number == step.count)
                    ? "on"
                    : "off");
    const std::string action =
        step.kind == StepKind::concurrent
            ? build(step, after)
            : "SET procrastinate_script.sql = " + dollar_quoted(statements_of(step)) + ";\n" +
                  run(step.kind == StepKind::batched ? "run_batches" : "run_step");
    return "\n-- " + about + "\n" +
           unless_passed("true", position(step.revision, step.number), settings + action);
}

// Before a post migration that drops functions.
std::string check_use(Revision revision)
{
    std::vector<std::string> dropped;
    for (const std::string_view name : online::dropped_functions(revision))
        dropped.emplace_back(name);
    if (chain::migration(revision).phase != chain::Phase::post || dropped.empty())
        return {};
    return unless_passed(
        "NOT current_setting('procrastinate_script.force')::boolean", position(revision, 1),
        setting("step", position(revision, 1)) + setting("after", "0") +
            setting("title", "in-use check") + setting("locks", "") + setting("barrier", "") +
            setting("dropped", join(dropped, " ")) + run("check_use"));
}

std::string run_migration(Revision revision, Revision target)
{
    const chain::Migration &migration = chain::migration(revision);
    const std::string message = upgrade::running_upgrade(migration);
    std::string text = "\n-- " + message + "\n" +
                       setting("revision", std::string(migration.revision)) +
                       setting("message", message) + check_use(revision);
    int after = 0;
    for (const Step &step : chain::steps_left(revision, 0, target))
    {
        text += run_step(step, after);
        after = step.number;
    }
    return text;
}

} // namespace

std::string online_script(const Installation &installation, chain::Range range)
{
    const std::string end(chain::name(range.end));
    std::string text =
        "-- Procrastinate's schema from " + std::string(chain::name(range.start)) + " to " + end +
        " while clients work, made by\n-- procrastinate_migrate " +
        std::string(upgrade::library_version) +
        ". Run it with: psql -X -v ON_ERROR_STOP=1 -f FILE\n"
        "-- It goes on from any revision, and from any place where a run of it has ended.\n"
        "-- Variables (psql -v NAME=VALUE), with their defaults:\n"
        "--   lock_timeout  '100 ms'  how long a lock is waited for at a time\n"
        "--   retry_for     '10 min'  how long a step asks again for its locks\n"
        "--   max_wal_rate  '64 MB'   how much WAL batches of rows may write in a second; 0: no "
        "limit\n"
        "--   force         0         1: do not look for sessions that use what migrations "
        "drop\n\n" +
        online_programs(installation, range);
    std::string steps;
    for (Revision revision = range.start + 1; revision <= range.end; ++revision)
        steps += run_migration(revision, range.end);
    if (range.start != chain::base)
        return text + steps;
    return text + "\n" +
           common::substitute(
               sql::online_script_at_base,
               {{"install", offline_transactions(installation, range)}, {"steps", steps}});
}

} // namespace procrastinate::script
