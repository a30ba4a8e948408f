#include "online/step_execution.hpp"

#include "online/column_replacement.hpp"
#include "online/fetch_barrier.hpp"
#include "online/lock_timeout_scope.hpp"
#include "server/setting_scope.hpp"
#include "server/subtransaction.hpp"
#include "upgrade/copied_grants.hpp"
#include "upgrade/history.hpp"
#include "upgrade/locks.hpp"
#include "upgrade/notices.hpp"
#include "upgrade/script_execution.hpp"
#include "upgrade/version_table_sync.hpp"

namespace procrastinate::online
{

namespace
{

using catalog::Installation;
using chain::Step;
using chain::StepKind;
using upgrade::UpgradePath;

// The index is there already: no table is changed.
bool only_records(const LockRequest &request)
{
    return request.of_step.kind == StepKind::concurrent && request.locks.empty();
}

void lock_tables(const Installation &installation, const LockRequest &request,
                 const UpgradePath &path)
{
    const Step &step = request.of_step;
    server::with_context("before " + step_label(step), [&] {
        if (step.count == 1 && request.locks.empty())
            upgrade::lock_tables(installation, upgrade::tables_of(path.current, path.current + 1));
        else
            upgrade::lock_tables(installation, request.locks);
    });
}

void prepare(const Installation &installation, const LockRequest &request, const UpgradePath &path)
{
    const Step &step = request.of_step;
    upgrade::set_script_settings();
    // Before the locks that block clients, so that they are held for a shorter time.
    if (step.number == step.count)
        upgrade::require_syncable(step.revision);
    if (!only_records(request))
        lock_tables(installation, request, path);
    // With the locks held no other session can add an object that depends on the column.
    if (step.revision == replaces_column && step.count > 1 && step.number == step.count)
        require_replaceable(installation, path);
    if (step.barrier == Step::install)
        install_fetch_barrier(installation);
    else if (step.barrier == Step::remove)
        remove_fetch_barrier(installation);
}

void run(const Installation &installation, const Step &step, std::string_view statements,
         const UpgradePath &path, const upgrade::CopiedGrants &grants)
{
    upgrade::set_script_settings();
    if (!path.has_history)
        upgrade::create_history(installation);
    const chain::Migration &migration = chain::migration(step.revision);
    upgrade::run_script(statements, step_label(step));
    upgrade::run_rest(migration.sql, upgrade::migration_label(migration), step.rest);
    server::with_context("privileges after " + step_label(step), [&] { grants.copy(); });
}

void finish(const Installation &installation, const LockRequest &request)
{
    const Step &step = request.of_step;
    upgrade::set_script_settings();
    // The fetch functions that came with the columns get the barrier, too.
    if (step.barrier == Step::close)
        install_fetch_barrier(installation);
    else if (step.barrier == Step::remove)
        notify_workers(installation, step.revision);
    if (only_records(request))
        upgrade::lock_tables(installation, upgrade::Tables::history);
}

} // namespace

bool execute_step(const Installation &installation, const LockRequest &request,
                  std::string_view statements, const UpgradePath &path, double lock_timeout,
                  StepLog &step_log)
{
    const Step &step = request.of_step;
    return server::attempt([&] {
        with_lock_timeout(lock_timeout, [&] {
            const upgrade::CopiedGrants grants(installation); // read before it has the locks
            server::with_search_path(nullptr, [&] { prepare(installation, request, path); });
            if (!only_records(request))
                step_log.progress().show_no_blockers(); // it has its locks
            server::with_search_path(installation.quoted.c_str(),
                                     [&] { run(installation, step, statements, path, grants); });
            server::with_search_path(nullptr, [&] { finish(installation, request); });
            server::with_search_path(installation.quoted.c_str(), [&] { step_log.record(step); });
        });
    });
}

} // namespace procrastinate::online
