#include "server/concurrent_build.hpp"

#include "server/fault_point.hpp"
#include "server/pause.hpp"

namespace procrastinate::server
{

namespace
{

constexpr std::size_t statement_size = 2048;

// Settings of the caller that matter to a build.
constexpr std::array taken_along{"maintenance_work_mem", "max_parallel_maintenance_workers",
                                 "default_tablespace"};

enum class Stage
{
    begun,
    failed,
    done
};

// What caller and worker share. Plain data. A session may have loaded an older library than the one that its
// worker finds: whoever changes this gives run_worker()'s function another name.
struct Order
{
    Oid database;
    Oid login_role;
    Oid role;
    bool is_superuser;
    Oid schema;
    char table[NAMEDATALEN];
    char index[NAMEDATALEN];
    char statement[statement_size];
    char settings[taken_along.size()][NAMEDATALEN];

    Stage stage;
    int sqlstate;
    char message[1024];
    char detail[2048];
    char hint[1024];
    char context[1024];
};

// ---- The worker: the server's own code in C, no object with a destructor in any frame ---------------

void keep(char *to, std::size_t size, const char *text)
{
    const char *const whole = text == nullptr ? "" : text;
    const int length =
        pg_mbcliplen(whole, static_cast<int>(strlen(whole)), static_cast<int>(size) - 1);
    strlcpy(to, whole, static_cast<std::size_t>(length) + 1);
}

IndexState state_of(Oid schema, const char *index, const char *table)
{
    AcceptInvalidationMessages();
    const Oid oid = get_relname_relid(index, schema);
    if (!OidIsValid(oid))
        return IndexState::absent;
    HeapTuple const tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        return IndexState::absent;
    auto *const row = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    const bool is_valid = row->indisvalid;
    const bool is_elsewhere = row->indrelid != get_relname_relid(table, schema);
    ReleaseSysCache(tuple);
    if (is_elsewhere)
        return IndexState::elsewhere;
    return is_valid ? IndexState::valid : IndexState::invalid;
}

// Who changes the index's row and has not committed; none else.
TransactionId changing(Oid index)
{
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(index));
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    TransactionId other = InvalidTransactionId;
    Relation const indexes = table_open(IndexRelationId, AccessShareLock);
    SysScanDesc const scan = systable_beginscan(indexes, IndexRelidIndexId, true, &dirty, 1, &key);
    while (!TransactionIdIsValid(other) && HeapTupleIsValid(systable_getnext(scan)))
        other = TransactionIdIsValid(dirty.xmax) ? dirty.xmax : dirty.xmin;
    systable_endscan(scan);
    table_close(indexes, AccessShareLock);
    return other;
}

// The statement would wait for its table with a snapshot, for which somebody else's build of an index of that
// table would wait in turn. False where the index is there by then.
bool lock_table(const Order &order)
{
    const Oid table = get_relname_relid(order.table, order.schema);
    InvalidateCatalogSnapshot();
    if (OidIsValid(table))
        LockRelationOid(table, ShareUpdateExclusiveLock);
    // The statement finds it by name.
    if (RelnameGetRelid(order.table) != table)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
                        errmsg("the schema has been dropped or renamed by another session")));
    return state_of(order.schema, order.index, order.table) == IndexState::absent;
}

// As the server runs a client's query: in a portal, which what event triggers do needs.
void run_statement(const Order &order)
{
    const char *const text = order.statement;
    StartTransactionCommand();
    pgstat_report_activity(STATE_RUNNING, text);
    if (!lock_table(order))
    {
        CommitTransactionCommand();
        return;
    }
    // The statement commits in between: what it makes before must outlive that.
    MemoryContextSwitchTo(
        AllocSetContextCreate(TopMemoryContext, "statement", ALLOCSET_DEFAULT_SIZES));
    auto *const raw = static_cast<RawStmt *>(linitial(pg_parse_query(text)));
    List *const queries = pg_analyze_and_rewrite_fixedparams(raw, text, nullptr, 0, nullptr);
    List *const plans = pg_plan_queries(queries, text, 0, nullptr);
    Portal const portal = CreatePortal("", true, true);
    portal->visible = false;
    PortalDefineQuery(portal, nullptr, text, CreateCommandTag(raw->stmt), plans, nullptr);
    PortalStart(portal, nullptr, 0, InvalidSnapshot);
    run_portal(portal);
    PortalDrop(portal, false);
    CommitTransactionCommand();
    pgstat_report_activity(STATE_IDLE, nullptr);
}

void prepare_session(const Order &order)
{
    BackgroundWorkerInitializeConnectionByOid(order.database, order.login_role, 0);
    StartTransactionCommand();
    SetCurrentRoleId(order.role, order.is_superuser);
    for (std::size_t i = 0; i < taken_along.size(); ++i)
        SetConfigOption(taken_along[i], order.settings[i], PGC_USERSET, PGC_S_SESSION);
    SetConfigOption("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION);
    SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_SESSION);
    if (GetConfigOption("transaction_timeout", true, false) != nullptr) // from 17 on
        SetConfigOption("transaction_timeout", "0", PGC_USERSET, PGC_S_SESSION);
    // The caller's own transaction may write, and sees what others have committed.
    SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
    SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION);
    const char *const schema = get_namespace_name(order.schema);
    if (schema == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("the schema has been dropped")));
    SetConfigOption("search_path", psprintf("%s, pg_temp", quote_identifier(schema)), PGC_USERSET,
                    PGC_S_SESSION);
    CommitTransactionCommand();
}

void work(Order *order)
{
    prepare_session(*order);
    fault_point("worker", "begins");
    run_statement(*order);
    fault_point("worker", "ends");
    order->stage = Stage::done;
}

void run_worker(dsm_handle handle)
{
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    dsm_segment *const segment = dsm_attach(handle);
    if (segment == nullptr)
        return; // the caller has gone
    dsm_pin_mapping(segment);
    auto *const order = static_cast<Order *>(dsm_segment_address(segment));
    MemoryContext const context = TopMemoryContext;
    PG_TRY();
    {
        work(order);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        const ErrorData *const error = CopyErrorData();
        order->sqlstate = error->sqlerrcode;
        keep(order->message, sizeof order->message, error->message);
        keep(order->detail, sizeof order->detail, error->detail);
        keep(order->hint, sizeof order->hint, error->hint);
        keep(order->context, sizeof order->context, error->context);
        order->stage = Stage::failed;
        PG_RE_THROW();
    }
    PG_END_TRY();
}

// ---- The caller ------------------------------------------------------------------------------------

// However a session ends, its worker ends with it.
constinit BackgroundWorkerHandle *worker_at_work = nullptr;
constinit bool is_registered = false;

void end_worker(int, Datum)
{
    if (worker_at_work != nullptr)
        TerminateBackgroundWorker(worker_at_work);
}

// However the caller is left, the worker ends with it.
class Worker
{
  public:
    explicit Worker(BackgroundWorkerHandle *handle) : handle_(handle) { worker_at_work = handle; }
    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;
    ~Worker()
    {
        worker_at_work = nullptr;
        TerminateBackgroundWorker(handle_); // of one that has ended: nothing
    }

    bool is_running() const
    {
        pid_t pid = 0;
        return GetBackgroundWorkerPid(handle_, &pid) != BGWH_STOPPED;
    }

    int pid() const // 0: not yet, or no more
    {
        pid_t pid = 0;
        return GetBackgroundWorkerPid(handle_, &pid) == BGWH_STARTED ? pid : 0;
    }

  private:
    BackgroundWorkerHandle *handle_;
};

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
        strlcpy(worker.bgw_function_name, "procrastinate_build_index_v1",
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
        dsm_segment *const segment = dsm_create(sizeof(Order), 0);
        dsm_pin_mapping(segment); // outlives transactions
        auto *const order = static_cast<Order *>(dsm_segment_address(segment));
        *order = Order{};
        order->database = MyDatabaseId;
        order->login_role = GetAuthenticatedUserId();
        order->role = GetUserId();
        order->is_superuser = superuser();
        order->schema = build.schema;
        strlcpy(order->table, build.table, sizeof order->table);
        strlcpy(order->index, build.index, sizeof order->index);
        if (strlcpy(order->statement, build.statement, statement_size) >= statement_size)
            elog(ERROR, "statement is too long");
        for (std::size_t i = 0; i < taken_along.size(); ++i)
            keep(order->settings[i], NAMEDATALEN, GetConfigOption(taken_along[i], true, false));
        return segment;
    });
}

[[noreturn]] void raise_error_of(const Order &order)
{
    call([&order] {
        ereport(ERROR, (errcode(order.sqlstate), errmsg_internal("%s", order.message),
                        order.detail[0] == '\0' ? 0 : errdetail_internal("%s", order.detail),
                        order.hint[0] == '\0' ? 0 : errhint("%s", order.hint),
                        order.context[0] == '\0' ? 0 : (errcontext("%s", order.context))));
    });
    std::terminate(); // not reached
}

class Segment
{
  public:
    explicit Segment(dsm_segment *segment) : segment_(segment) {}
    Segment(const Segment &) = delete;
    Segment &operator=(const Segment &) = delete;
    ~Segment() { dsm_detach(segment_); }

    const Order &order() const { return *static_cast<Order *>(dsm_segment_address(segment_)); }
    dsm_segment *get() const { return segment_; }

  private:
    dsm_segment *segment_;
};

} // namespace

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
    const Order &order = segment.order();
    if (order.sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
        order.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
        return {BuildEnd::no_lock,
                std::string(order.message) + (order.detail[0] == '\0' ? "" : "\n") + order.detail};
    if (order.stage == Stage::failed)
        raise_error_of(order);
    if (order.stage != Stage::done)
        call([] {
            ereport(
                ERROR,
                (errcode(ERRCODE_OPERATOR_INTERVENTION),
                 errmsg("the background worker that built an index was ended"),
                 errhint("The server's log may tell why: a role that may not connect any more, "
                         "say, or a library that was replaced since this session loaded it. Call "
                         "it again, from a new session, to go on.")));
        });
    return {BuildEnd::built, {}};
}

IndexState index_state(Oid schema, const char *index, const char *table)
{
    return call([=] { return state_of(schema, index, table); });
}

void wait_for_builder(Oid schema, const char *index)
{
    call([=] {
        const Oid oid = get_relname_relid(index, schema);
        TransactionId other = InvalidTransactionId;
        while (OidIsValid(oid) && TransactionIdIsValid(other = changing(oid)))
            XactLockTableWait(other, nullptr, nullptr, XLTW_None);
    });
}

} // namespace procrastinate::server

extern "C" __attribute__((visibility("default"))) void procrastinate_build_index_v1(Datum handle)
{
    procrastinate::server::run_worker(DatumGetUInt32(handle));
}
