#include "script/offline_script.hpp"

#include "chain/facts.hpp"
#include "chain/step.hpp"
#include "common/quoting.hpp"
#include "common/template.hpp"
#include "script/script_parts.hpp"
#include "sql/script_begin.hpp"
#include "sql/script_check_policies.hpp"
#include "sql/script_check_unknown.hpp"
#include "sql/script_drop_index.hpp"
#include "sql/script_find_present.hpp"
#include "sql/script_history_values.hpp"
#include "sql/script_migration.hpp"
#include "sql/script_step.hpp"
#include "upgrade/change.hpp"
#include "upgrade/foreign_objects.hpp"
#include "upgrade/history.hpp"
#include "upgrade/library_version.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"

namespace procrastinate::script
{

namespace
{

using catalog::Installation;
using chain::Revision;
using common::substitute;

const char *on_off(bool value) { return value ? "on" : "off"; }

bool has_name_of_its_own(chain::Kind kind)
{
    using chain::Kind;
    return kind == Kind::table || kind == Kind::column || kind == Kind::index ||
           kind == Kind::enum_type || kind == Kind::composite || kind == Kind::sequence ||
           kind == Kind::function;
}

// The names that the migrations after `from` up to `last` create, each with its revision: if one is
// there, another tool has gone on without the history. From base nothing may be there at all.
// Indexes that procrastinate_migrate() builds ahead are dropped first.
std::string created_names(Revision from, Revision last)
{
    std::string names;
    for (const chain::Fact &fact : chain::facts())
    {
        const auto was_there = [&fact, from](const chain::Fact &other) {
            return other.kind == fact.kind && other.key == fact.key && chain::is_at(other, from);
        };
        const std::vector<std::string> ahead = chain::built_ahead(fact.first);
        if (from == chain::base || fact.first <= from || fact.first > last ||
            !has_name_of_its_own(fact.kind) ||
            std::find(ahead.begin(), ahead.end(), fact.key) != ahead.end() ||
            std::any_of(chain::facts().begin(), chain::facts().end(), was_there))
            continue;
        std::string key(fact.key);
        std::erase(key, ' ');
        names.append(names.empty() ? "" : " ")
            .append(chain::name(fact.first))
            .append(":")
            .append(key);
    }
    return names;
}

// The begin of a transaction that goes from `from` to `last`, in a script of that range.
std::string begin_transaction(const Installation &installation, Revision from, Revision last,
                              chain::Range script)
{
    const bool locks_jobs = upgrade::tables_of(from, last) == upgrade::Tables::history_and_jobs;
    return substitute(
        sql::script_begin,
        {{"schema", common::quoted_literal(installation.name)},
         {"start", chain::name(from)},
         {"transaction_end", chain::name(last)},
         {"script_end", chain::name(script.end)},
         {"part", from == script.start ? "this script" : "this part of the script"},
         {"lock_jobs", on_off(locks_jobs)},
         {"keeps_history", on_off(from < last)},
         {"names", upgrade::object_names()},
         {"is_own", is_own()},
         {"check_role", check_role()},
         {"lock_history", lock_history()},
         {"find_present", sql::script_find_present},
         {"check_policies", sql::script_check_policies},
         {"created", created_names(from, last)},
         {"check", set_check("SET LOCAL")},
         {"check_unknown", sql::script_check_unknown},
         {"warn_of_timeouts", warn_of_timeouts("'statement_timeout', 'transaction_timeout'")},
         {"follow_catalog", follow_catalog("recorded")},
         {"is_first", on_off(from == script.start)},
         {"adopt", adopt()},
         {"record", record_revision()}});
}

// What a step of the script does.
struct ScriptStep
{
    std::string_view event;
    Revision from;
    Revision to;
    std::string message;
    std::string sql;
};

std::string drop_indexes(const ScriptStep &step)
{
    std::string text;
    if (step.to - step.from == 1)
        for (const std::string &index : chain::built_ahead(step.to))
            text += substitute(sql::script_drop_index, {{"index", index}});
    return text;
}

// Nothing is carried along where there is nothing yet.
bool copies_grants(const ScriptStep &step) { return step.from != chain::base; }

std::string run_step(const Installation &installation, const ScriptStep &step)
{
    const std::string values =
        substitute(sql::script_history_values, {{"event", step.event},
                                                {"from", chain::name(step.from)},
                                                {"to", chain::name(step.to)},
                                                {"version", script_version()}});
    const std::string history = installation.quoted + "." + catalog::history_table;
    return "\n\n-- " + step.message + "\n" +
           substitute(sql::script_step,
                      {{"message", common::quoted_literal(step.message)},
                       {"drop_indexes", drop_indexes(step)},
                       {"remember_grants", copies_grants(step) ? remember_grants() : std::string()},
                       {"sql", step.sql},
                       {"copy_grants", copies_grants(step) ? copy_grants() : std::string()},
                       {"append_history", append_history(history, values)},
                       {"is_own", is_own()},
                       {"revision", chain::name(step.to)}});
}

// The last revision that a transaction which begins at `from` can reach on any supported server:
// new enum labels need a commit before they can be used, also when the script starts at base.
Revision last_of_transaction(Revision from, Revision to)
{
    return chain::reachable_in_one_transaction(from, to, chain::CreatedTypes::as_written);
}

// Ends what script_begin.sql begins.
constexpr std::string_view commit = "COMMIT;\n\\endif\n";

// The schema of head, created directly.
std::string install_head(const Installation &installation)
{
    const Revision head = chain::head();
    return begin_transaction(installation, chain::base, head, {chain::base, head}) +
           run_step(installation, {upgrade::event::install, chain::base, head,
                                   "Installing " + upgrade::display_name(head) + " directly",
                                   chain::head_script(installation.quoted)})
               .append(commit);
}

} // namespace

std::string offline_transactions(const Installation &installation, chain::Range range)
{
    if (range.start == chain::base && range.end == chain::head())
        return install_head(installation);
    std::string text;
    Revision at = range.start;
    do
    {
        const Revision last = last_of_transaction(at, range.end);
        text += begin_transaction(installation, at, last, range);
        for (; at < last; ++at)
        {
            const chain::Migration &migration = chain::migration(at + 1);
            const std::string script = substitute(
                sql::script_migration, {{"schema", installation.quoted}, {"sql", migration.sql}});
            text += run_step(installation, {upgrade::event::upgrade, at, at + 1,
                                            upgrade::running_upgrade(migration), script});
        }
        text += commit;
    } while (at < range.end);
    return text;
}

std::string offline_script(const Installation &installation, chain::Range range)
{
    return "-- Procrastinate's schema from " + std::string(chain::name(range.start)) + " to " +
           std::string(chain::name(range.end)) + ", made by procrastinate_migrate " +
           std::string(upgrade::library_version) +
           ".\n-- Run it with: psql -X -v ON_ERROR_STOP=1 -f FILE\n\n" +
           offline_transactions(installation, range);
}

} // namespace procrastinate::script
