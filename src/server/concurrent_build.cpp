// Has a background worker build an index concurrently, and waits for it.
#include "server/concurrent_build.hpp"

#include "server/pause.hpp"
#include "server/statement_worker.hpp"

namespace procrastinate::server
{

namespace
{

// Settings of the session that the worker takes over.
constexpr std::array settings_of_builds{"maintenance_work_mem", "max_parallel_maintenance_workers",
                                        "default_tablespace"};

void raise_worker_ended()
{
    call([] {
        ereport(ERROR,
                (errcode(ERRCODE_OPERATOR_INTERVENTION),
                 errmsg("the background worker that built an index was ended"),
                 errdetail("Possible reasons are a role that may no longer connect, and a library "
                           "that was replaced after this session loaded it."),
                 errhint("See the server log, then call procrastinate_migrate again in a new "
                         "session.")));
    });
}

} // namespace

bool BuildSlot::try_acquire(int slots)
{
    const Oid role = GetSessionUserId();
    for (int slot = 0; slot < slots; ++slot)
    {
        lock_.emplace(slot_tag(LockKey::build_slot, role, slot), ExclusiveLock);
        if (lock_->try_acquire())
            return true;
    }
    lock_.reset();
    return false;
}

BuildResult build_index(const IndexBuild &build, void (*meanwhile)(void *context, int pid),
                        void *context)
{
    const std::unique_ptr<StatementWorker> worker = StatementWorker::start(
        {build.role, InvalidOid, build.schema, build.table, build.index, build.statement,
         build.lock_timeout, settings_of_builds, WorkerUse::once});
    if (worker == nullptr)
        return {BuildEnd::no_worker, {}};
    call([] { InvalidateCatalogSnapshot(); });
    while (worker->is_running())
    {
        pause_until_woken(100);
        meanwhile(context, worker->pid());
    }
    const int sqlstate = worker->sqlstate();
    if (sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
        return {BuildEnd::no_lock,
                worker->message() + (worker->detail().empty() ? "" : "\n") + worker->detail()};
    if (sqlstate == ERRCODE_ADMIN_SHUTDOWN)
        raise_worker_ended();
    if (sqlstate != 0)
        worker->raise_error();
    return {BuildEnd::built, {}};
}

} // namespace procrastinate::server
