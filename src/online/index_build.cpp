#include "online/index_build.hpp"

#include "chain/facts.hpp"
#include "common/findings.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/concurrent_build.hpp"
#include "server/current_role.hpp"
#include "server/index_state.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "server/statement_worker.hpp"
#include "server/table_size.hpp"
#include "sql/build_progress.hpp"
#include "sql/drop_index.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/settings.hpp"

#include <cctype>

namespace procrastinate::online
{

namespace
{

namespace spi = server::spi;

constexpr std::string_view concurrently = "CONCURRENTLY ";

struct Watch
{
    const catalog::Installation &installation;
    const chain::Step &step;
    ProgressReport &progress;
    std::string phase; // the last one that was reported
};

// What the worker does now, in a connection of its own, so that nothing is left in memory between
// two looks. The commit gives back the query's snapshot, which the build would wait for.
void watch_worker(Watch &watch, int pid)
{
    if (pid == 0 || !watch.progress.is_due())
        return;
    const std::string phase = spi::connected(spi::Mode::may_commit, [&] {
        return server::with_search_path(nullptr, [&] {
            const std::array parameters{spi::int4_parameter(pid),
                                        spi::oid_parameter(watch.installation.schema),
                                        spi::text_parameter(watch.step.table)};
            const spi::Rows rows = spi::read_latest(sql::build_progress, parameters);
            return std::string(rows.count() == 0 ? "" : rows.text(0, 1).value_or(""));
        });
    });
    spi::commit();
    // The error of a worker that has just ended names what it waited for.
    if (phase.empty())
        return;
    watch.progress.tell(request_of(watch.step).name(), phase);
    watch.phase = phase;
}

bool is_of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The build in a session whose search_path does not have the schema: with the schema before the
// names of the table and of types. No string or comment of a step file contains them.
std::string qualified_build(const catalog::Installation &installation, const chain::Step &step)
{
    const auto is_qualified = [&step](std::string_view word) {
        const auto facts = chain::facts();
        return word == step.table ||
               std::any_of(facts.begin(), facts.end(), [word](const chain::Fact &fact) {
                   return fact.kind == chain::Kind::enum_type && fact.name == word;
               });
    };
    const std::string_view sql = step.sql;
    std::string statement;
    for (auto from = sql.begin(); from != sql.end();)
    {
        const auto to = std::find_if_not(from, sql.end(), is_of_name);
        const std::string_view word(&*from, static_cast<std::size_t>(to - from));
        statement.append(is_qualified(word) ? installation.quoted + "." : "").append(word);
        from = std::find_if(to, sql.end(), is_of_name);
        statement.append(to, from);
    }
    return statement;
}

[[noreturn]] void refuse_name(const catalog::Installation &installation, chain::Revision revision,
                              const std::string &index)
{
    throw common::Refusal{
        common::sqlstate::catalog_contradicts,
        "cannot build index \"" + index + "\" of migration " + std::string(chain::name(revision)),
        "Another relation has this name.",
        "Rename it: ALTER INDEX " + installation.quoted + "." + index + " RENAME TO own_index;"};
}

} // namespace

void require_free_names(const catalog::Installation &installation, chain::Revision revision)
{
    const std::vector<std::string> ahead = chain::built_ahead(revision);
    for (const chain::Step &step : chain::steps(revision))
    {
        if (step.kind != chain::StepKind::concurrent)
            continue;
        const std::string index(step.index);
        if (std::find(ahead.begin(), ahead.end(), index) != ahead.end() ||
            !catalog::has_relation(installation, index.c_str()))
            continue;
        refuse_name(installation, revision, index);
    }
}

IndexState index_state_of(const catalog::Installation &installation, const chain::Step &step)
{
    if (step.kind != chain::StepKind::concurrent)
        return IndexState::absent;
    return server::index_state(installation.schema, std::string(step.index).c_str(),
                               std::string(step.table).c_str());
}

void refuse_index(const catalog::Installation &installation, const chain::Step &step)
{
    refuse_name(installation, step.revision, std::string(step.index));
}

std::optional<chain::Step> skipped_invalid_index(const catalog::Installation &installation,
                                                 const chain::Step &step,
                                                 const upgrade::UpgradePath &path)
{
    if (!path.under_way)
        return std::nullopt;
    for (const chain::Step &skipped : chain::steps(step.revision))
        if (skipped.number > path.under_way->number && skipped.number < step.number &&
            index_state_of(installation, skipped) == IndexState::invalid)
            return skipped;
    return std::nullopt;
}

void drop_invalid_index(const catalog::Installation &installation, const chain::Step &step)
{
    // An index that another session is building is invalid, too: wait for that session, under a
    // lock that clients do not queue behind.
    const std::string index(step.index);
    for (const std::string_view mode : {"SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"})
    {
        const std::array lock{chain::StepLock{step.table, mode}};
        server::with_search_path(nullptr, [&] { upgrade::lock_tables(installation, lock); });
        server::wait_for_builder(installation.schema, index.c_str());
    }
    switch (index_state_of(installation, step))
    {
    case IndexState::on_another_table:
        refuse_index(installation, step);
    case IndexState::absent:
    case IndexState::valid: // the other session's build has ended
        return;
    case IndexState::invalid:
        break;
    }
    const std::string statement = common::substitute(sql::drop_index, {{"index", index}});
    server::with_search_path(installation.quoted.c_str(), [&] {
        server::with_context(step_label(step), [&] { spi::execute(statement.c_str()); });
    });
}

IndexMethod method_for_size(const catalog::Installation &installation, const chain::Step &step)
{
    const std::int64_t least = std::int64_t{1024} * upgrade::min_concurrent_build_size();
    if (least == 0)
        return IndexMethod::concurrently;
    return server::table_size(installation.schema, std::string(step.table).c_str()) < least
               ? IndexMethod::plain
               : IndexMethod::concurrently;
}

std::string plain_build(const chain::Step &step)
{
    std::string statement(step.sql);
    statement.erase(statement.find(concurrently), concurrently.size());
    return statement;
}

std::string holder_of_builds(const catalog::Installation &installation)
{
    return server::with_search_path(
        nullptr, [&] { return upgrade::lock_holder(installation, server::LockKey::index_build); });
}

std::optional<std::string> build_concurrently(const catalog::Installation &installation, Oid owner,
                                              const chain::Step &step, double lock_timeout,
                                              const std::string &without_worker,
                                              ProgressReport &progress)
{
    server::BuildSlot slot;
    if (!slot.try_acquire(upgrade::max_build_workers()))
        return "role \"" + server::session_role() +
               "\" has as many index builds in this database as "
               "procrastinate_migrate.max_build_workers allows (" +
               std::to_string(upgrade::max_build_workers()) + ")";
    // Releases the installation's lock and any snapshot: the build might wait for a session that
    // has a snapshot and waits for that lock.
    spi::commit();
    const std::string table(step.table);
    const std::string index(step.index);
    const std::string statement = qualified_build(installation, step);
    progress.show_no_blockers(); // procrastinate_progress shows the worker's from now on
    Watch watch{installation, step, progress, {}};
    server::BuildResult result = server::with_context(step_label(step), [&] {
        return server::build_index(
            {owner, installation.schema, table.c_str(), index.c_str(), statement.c_str(),
             static_cast<int>(std::min(lock_timeout, 2e9))},
            [](void *context, int pid) { watch_worker(*static_cast<Watch *>(context), pid); },
            &watch);
    });
    // Workers of procrastinate_migrate_all() compete for the server's workers: they ask again.
    if (result.end == server::BuildEnd::no_worker && server::is_background_worker())
        return "all of the server's max_worker_processes are in use";
    if (result.end == server::BuildEnd::no_worker)
        throw common::Refusal{
            common::sqlstate::no_worker, "there is no background worker to build an index with",
            "All of the server's max_worker_processes are in use.",
            "Raise max_worker_processes, or let writers wait while indexes are built: " +
                without_worker};
    if (result.end == server::BuildEnd::no_lock)
        return result.error + (watch.phase.empty() ? "" : ": ") + watch.phase;
    return std::nullopt;
}

} // namespace procrastinate::online
