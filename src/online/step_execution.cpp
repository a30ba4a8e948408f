#include "online/step_execution.hpp"

#include "online/column_replacement.hpp"
#include "online/fetch_barrier.hpp"
#include "online/lock_timeout_scope.hpp"
#include "server/setting_scope.hpp"
#include "server/subtransaction.hpp"
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

void lock_tables(const Installation &installation, const Step &step, const UpgradePath &path)
{
    server::with_context("before " + label_of(step), [&] {
        if (step.count == 1 && step.locks.empty())
            upgrade::lock_tables(installation, upgrade::tables_of(path.current, path.current + 1));
        else
            upgrade::lock_tables(installation, step.locks);
    });
}

void prepare(const Installation &installation, const Step &step, const UpgradePath &path)
{
    upgrade::set_script_settings();
    // Before the locks that are in clients' way, not for as long as they are held.
    if (step.number == step.count)
        upgrade::require_syncable(step.revision);
    // A step that takes long asks for no more than its statements do anyway, which nobody's trigger may
    // come before.
    if (step.kind != StepKind::concurrent)
        lock_tables(installation, step, path);
    // With its locks held, nobody can add to it any more.
    if (step.revision == replaces_column && step.count > 1 && step.number == step.count)
        require_replaceable(installation, path);
    if (step.barrier == Step::install)
        install_fetch_barrier(installation);
    else if (step.barrier == Step::remove)
        remove_fetch_barrier(installation);
}

void run(const Installation &installation, const Step &step, const UpgradePath &path)
{
    upgrade::set_script_settings();
    if (!path.has_history)
        upgrade::create_history(installation);
    const chain::Migration &migration = chain::migration(step.revision);
    upgrade::run_script(step.sql, label_of(step));
    upgrade::run_rest(migration.sql, upgrade::label_of(migration), step.rest);
}

void finish(const Installation &installation, const Step &step)
{
    upgrade::set_script_settings();
    // What came with the columns is for the fetches that are inside, too.
    if (step.barrier == Step::close)
        install_fetch_barrier(installation);
    else if (step.barrier == Step::remove)
        notify_workers(installation, step.revision);
    if (step.kind == StepKind::concurrent)
        upgrade::lock_tables(installation, upgrade::Tables::history);
}

} // namespace

bool execute_step(const Installation &installation, const Step &step, const UpgradePath &path,
                  double lock_timeout, StepLog &step_log)
{
    return server::attempt([&] {
        with_lock_timeout(lock_timeout, [&] {
            server::with_search_path(nullptr, [&] { prepare(installation, step, path); });
            if (step.kind != StepKind::concurrent)
                step_log.progress().show_nobody(); // it has its locks
            server::with_search_path(installation.quoted, [&] { run(installation, step, path); });
            server::with_search_path(nullptr, [&] { finish(installation, step); });
            server::with_search_path(installation.quoted, [&] { step_log.record(step); });
        });
    });
}

} // namespace procrastinate::online
