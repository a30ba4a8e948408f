// Starts the background worker that builds an index concurrently, and waits for it.
#include "server/concurrent_build.hpp"

#include "server/build_order.hpp"
#include "server/pause.hpp"

namespace procrastinate::server
{

namespace
{

// For end_worker(), which the server calls when the session ends.
constinit BackgroundWorkerHandle *running_worker = nullptr;
constinit bool is_registered = false;

void end_worker(int, Datum)
{
    if (running_worker != nullptr)
        TerminateBackgroundWorker(running_worker);
}

// Owns the running worker and ends it.
class Worker
{
  public:
    explicit Worker(BackgroundWorkerHandle *handle) : handle_(handle) { running_worker = handle; }
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;
    ~Worker()
    {
        running_worker = nullptr;
        TerminateBackgroundWorker(handle_); // no effect if it has ended
    }

    bool is_running() const
    {
        pid_t pid = 0;
        return GetBackgroundWorkerPid(handle_, &pid) != BGWH_STOPPED;
    }

    // 0 if it has not started yet, or has ended.
    int pid() const
    {
        pid_t pid = 0;
        return GetBackgroundWorkerPid(handle_, &pid) == BGWH_STARTED ? pid : 0;
    }

  private:
    BackgroundWorkerHandle *handle_;
};

// Owns the shared memory segment with the order.
class Segment
{
  public:
    explicit Segment(dsm_segment *segment) : segment_(segment) {}
    Segment(const Segment &) = delete;
    Segment &operator=(const Segment &) = delete;
    ~Segment() { dsm_detach(segment_); }

    const BuildOrder &order() const
    {
        return *static_cast<BuildOrder *>(dsm_segment_address(segment_));
    }
    dsm_segment *get() const { return segment_; }

  private:
    dsm_segment *segment_;
};

// nullptr if the server has no free slot for a worker.
BackgroundWorkerHandle *start_worker(dsm_segment *segment)
{
    return call([segment]() -> BackgroundWorkerHandle * {
        if (!is_registered)
            before_shmem_exit(end_worker, 0);
        is_registered = true;
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_notify_pid = MyProcPid;
        worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
        strlcpy(worker.bgw_library_name, "$libdir/procrastinate_migrate",
                sizeof worker.bgw_library_name);
        strlcpy(worker.bgw_function_name, "procrastinate_build_index_v2",
                sizeof worker.bgw_function_name);
        strlcpy(worker.bgw_name, "procrastinate_migrate", sizeof worker.bgw_name);
        strlcpy(worker.bgw_type, "procrastinate_migrate", sizeof worker.bgw_type);
        BackgroundWorkerHandle *handle = nullptr;
        return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : nullptr;
    });
}

dsm_segment *write_order(const IndexBuild &build)
{
    return call([&build] {
        dsm_segment *const segment = dsm_create(sizeof(BuildOrder), 0);
        dsm_pin_mapping(segment); // keeps it after the end of the transaction
        auto *const order = static_cast<BuildOrder *>(dsm_segment_address(segment));
        *order = BuildOrder{};
        order->database = MyDatabaseId;
        order->login_role = GetAuthenticatedUserId();
        order->role = build.role;
        order->schema = build.schema;
        strlcpy(order->table, build.table, sizeof order->table);
        strlcpy(order->index, build.index, sizeof order->index);
        if (strlcpy(order->statement, build.statement, sizeof order->statement) >=
            sizeof order->statement)
            elog(ERROR, "statement is too long");
        for (std::size_t i = 0; i < build_settings.size(); ++i)
            copy_clipped(order->settings[i], GetConfigOption(build_settings[i], true, false));
        snprintf(order->lock_timeout, sizeof order->lock_timeout, "%d", build.lock_timeout);
        return segment;
    });
}

// Throws the worker's error.
void raise_error_of(const BuildOrder &order)
{
    call([&order] {
        ereport(ERROR, (errcode(order.sqlstate), errmsg_internal("%s", order.message),
                        order.detail[0] == '\0' ? 0 : errdetail_internal("%s", order.detail),
                        order.hint[0] == '\0' ? 0 : errhint("%s", order.hint),
                        order.context[0] == '\0' ? 0 : (errcontext("%s", order.context))));
    });
}

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
        lock_.emplace(build_slot_tag(role, slot), ExclusiveLock);
        if (lock_->try_acquire())
            return true;
    }
    lock_.reset();
    return false;
}

BuildResult build_index(const IndexBuild &build, void (*meanwhile)(void *context, int pid),
                        void *context)
{
    const Segment segment(write_order(build));
    BackgroundWorkerHandle *const handle = start_worker(segment.get());
    if (handle == nullptr)
        return {BuildEnd::no_worker, {}};
    {
        const Worker worker(handle);
        call([] { InvalidateCatalogSnapshot(); });
        while (worker.is_running())
        {
            pause_until_woken(100);
            meanwhile(context, worker.pid());
        }
    }
    const BuildOrder &order = segment.order();
    if (order.sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
        order.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
        return {BuildEnd::no_lock,
                std::string(order.message) + (order.detail[0] == '\0' ? "" : "\n") + order.detail};
    if (order.stage == BuildStage::failed)
        raise_error_of(order);
    if (order.stage != BuildStage::done)
        raise_worker_ended();
    return {BuildEnd::built, {}};
}

} // namespace procrastinate::server
