#include "server/statement_worker.hpp"

#include "server/worker_order.hpp"

#include <algorithm>

namespace procrastinate::server
{

namespace
{

// For end_workers(), which the server calls when the session ends.
constinit std::array<BackgroundWorkerHandle *, 64> running_workers{};
constinit bool is_registered = false;

void end_workers(int, Datum)
{
    for (BackgroundWorkerHandle *const worker : running_workers)
        if (worker != nullptr)
            TerminateBackgroundWorker(worker);
}

// Null if there is none.
BackgroundWorkerHandle **free_place()
{
    auto *const place = std::find(running_workers.begin(), running_workers.end(), nullptr);
    return place == running_workers.end() ? nullptr : place;
}

WorkerOrder &order_in(dsm_segment *segment)
{
    return *static_cast<WorkerOrder *>(dsm_segment_address(segment));
}

// Inside call().
void write_statement(WorkerOrder &order, Oid schema, const char *text)
{
    order.schema = schema;
    if (strlcpy(order.statement, text, sizeof order.statement) >= sizeof order.statement)
        elog(ERROR, "statement is too long");
}

void write_settings(WorkerOrder &order, std::span<const char *const> names)
{
    char *to = order.settings;
    const char *const end = order.settings + worker_settings_size - 1;
    for (const char *const name : names)
    {
        const char *const value = GetConfigOption(name, true, false);
        if (value == nullptr)
            continue;
        for (const char *const text : {name, value})
        {
            const std::size_t size = strlen(text) + 1;
            if (size > static_cast<std::size_t>(end - to))
                ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                                errmsg("settings are too long for a background worker"),
                                errdetail_internal("Setting: %s.", name)));
            memcpy(to, text, size);
            to += size;
        }
    }
    *to = '\0';
}

dsm_segment *write_order(const WorkerStatement &statement)
{
    return call([&statement] {
        dsm_segment *const segment = dsm_create(sizeof(WorkerOrder), 0);
        dsm_pin_mapping(segment); // keeps it after the end of the transaction
        auto *const order = static_cast<WorkerOrder *>(dsm_segment_address(segment));
        memset(order, 0, sizeof *order);
        order->database = MyDatabaseId;
        order->login_role = GetAuthenticatedUserId();
        order->role = statement.role;
        order->only_owner = statement.only_owner;
        pg_atomic_init_u32(&order->stage, static_cast<std::uint32_t>(WorkerStage::begun));
        order->is_kept = statement.use == WorkerUse::kept;
        strlcpy(order->table, statement.table, sizeof order->table);
        strlcpy(order->index, statement.index, sizeof order->index);
        write_statement(*order, statement.schema, statement.text);
        write_settings(*order, statement.settings);
        snprintf(order->lock_timeout, sizeof order->lock_timeout, "%d", statement.lock_timeout);
        return segment;
    });
}

// Null if the server has no free slot for a worker.
BackgroundWorkerHandle *register_worker(dsm_segment *segment)
{
    return call([segment]() -> BackgroundWorkerHandle * {
        if (!is_registered)
            before_shmem_exit(end_workers, 0);
        is_registered = true;
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_notify_pid = MyProcPid;
        worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
        strlcpy(worker.bgw_library_name, "$libdir/procrastinate_migrate",
                sizeof worker.bgw_library_name);
        strlcpy(worker.bgw_function_name, "procrastinate_run_statement_v6",
                sizeof worker.bgw_function_name);
        strlcpy(worker.bgw_name, "procrastinate_migrate", sizeof worker.bgw_name);
        strlcpy(worker.bgw_type, "procrastinate_migrate", sizeof worker.bgw_type);
        // The handle is used until the worker has ended, also after the end of the transaction.
        MemoryContext const context = MemoryContextSwitchTo(TopMemoryContext);
        BackgroundWorkerHandle *handle = nullptr;
        const bool is_free = RegisterDynamicBackgroundWorker(&worker, &handle);
        MemoryContextSwitchTo(context);
        return is_free ? handle : nullptr;
    });
}

} // namespace

std::unique_ptr<StatementWorker> StatementWorker::start(const WorkerStatement &statement)
{
    BackgroundWorkerHandle **const place = free_place();
    if (place == nullptr)
        return nullptr;
    dsm_segment *const segment = write_order(statement);
    BackgroundWorkerHandle *handle = nullptr;
    try
    {
        handle = register_worker(segment);
    }
    catch (...)
    {
        dsm_detach(segment);
        throw;
    }
    if (handle == nullptr)
    {
        dsm_detach(segment);
        return nullptr;
    }
    *place = handle;
    return std::unique_ptr<StatementWorker>(new StatementWorker(segment, handle));
}

StatementWorker::~StatementWorker()
{
    std::replace(running_workers.begin(), running_workers.end(), handle_,
                 static_cast<BackgroundWorkerHandle *>(nullptr));
    // An idle worker ends by itself, without an error in the server's log.
    WorkerOrder &order = order_in(segment_);
    if (order.is_kept && order.reached() == WorkerStage::done)
    {
        order.reach(WorkerStage::over);
        wake(pid());
    }
    else
        TerminateBackgroundWorker(handle_); // no effect if it has ended
    pfree(handle_);
    dsm_detach(segment_);
}

bool StatementWorker::run_next(Oid schema, const char *text)
{
    pid_t pid = 0;
    if (GetBackgroundWorkerPid(handle_, &pid) == BGWH_STOPPED)
        return false;
    WorkerOrder &order = order_in(segment_);
    call([&] { write_statement(order, schema, text); });
    order.reach(WorkerStage::begun);
    wake(pid);
    return true;
}

bool StatementWorker::is_running() const
{
    WorkerOrder &order = order_in(segment_);
    if (order.is_kept && order.reached() == WorkerStage::done)
        return false;
    pid_t pid = 0;
    return GetBackgroundWorkerPid(handle_, &pid) != BGWH_STOPPED;
}

int StatementWorker::pid() const
{
    pid_t pid = 0;
    return GetBackgroundWorkerPid(handle_, &pid) == BGWH_STARTED ? pid : 0;
}

int StatementWorker::sqlstate() const
{
    WorkerOrder &order = order_in(segment_);
    switch (order.reached())
    {
    case WorkerStage::done:
    case WorkerStage::over:
        return 0;
    case WorkerStage::failed:
        return order.sqlstate;
    case WorkerStage::begun:
        break;
    }
    return ERRCODE_ADMIN_SHUTDOWN;
}

std::string StatementWorker::message() const
{
    WorkerOrder &order = order_in(segment_);
    return order.reached() == WorkerStage::begun ? "the background worker was ended"
                                                 : order.message;
}

std::string StatementWorker::detail() const { return order_in(segment_).detail; }

void StatementWorker::raise_error() const
{
    const WorkerOrder &order = order_in(segment_);
    call([&order] {
        ereport(ERROR, (errcode(order.sqlstate), errmsg_internal("%s", order.message),
                        order.detail[0] == '\0' ? 0 : errdetail_internal("%s", order.detail),
                        order.hint[0] == '\0' ? 0 : errhint("%s", order.hint),
                        order.context[0] == '\0' ? 0 : (errcontext("%s", order.context))));
    });
}

bool is_background_worker() { return MyBgworkerEntry != nullptr; }

int max_background_workers() { return max_worker_processes; }

} // namespace procrastinate::server
