// Background worker that runs statements at top level: CREATE INDEX CONCURRENTLY, or CALLs.
//
// This is code in the server's own style: errors jump through every function here, so none of them
// has an object with a destructor.
#include "server/advisory_lock.hpp"
#include "server/fault_point.hpp"
#include "server/index_state.hpp"
#include "server/worker_order.hpp"

namespace procrastinate::server
{

namespace
{

constinit Oid only_owner = InvalidOid;

// Locks the table before the statement does. The statement would wait for the table with a
// snapshot, and a concurrent build of another index on the table would wait for that snapshot: a
// deadlock. Returns false if the index exists now.
bool lock_table(const WorkerOrder &order, const RangeVar *named)
{
    const Oid table = get_relname_relid(order.table, order.schema);
    InvalidateCatalogSnapshot();
    if (OidIsValid(table))
        LockRelationOid(table, ShareUpdateExclusiveLock);
    // The statement finds the table by name, so the name must still mean this table.
    if (!OidIsValid(table) || RangeVarGetRelid(named, NoLock, true) != table)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
                        errmsg("the schema has been dropped or renamed by another session")));
    return read_index_state(order.schema, order.index, order.table) == IndexState::absent;
}

[[noreturn]] void refuse_procedure(Oid procedure)
{
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("procedure %s stands in the way of the extension's own",
                           format_procedure_qualified(procedure)),
                    errhint("Look at it first: DROP PROCEDURE %s;",
                            format_procedure_qualified(procedure))));
    pg_unreachable();
}

// Refuses a CALL if a function or procedure of this name is not in C, which only a superuser can
// create. In a schema in which others may create, one of their own can fit the arguments better.
// Before the statement's analysis: that calls the input functions of the arguments' types.
void require_own_procedures(const Node *statement)
{
    if (!IsA(statement, CallStmt))
        return;
    const List *const name = castNode(CallStmt, statement)->funccall->funcname;
    const Oid schema = get_namespace_oid(strVal(linitial(name)), false);
    CatCList *const found =
        SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(strVal(llast(name))));
    for (int i = 0; i < found->n_members; ++i)
    {
        const auto *const form =
            reinterpret_cast<Form_pg_proc>(GETSTRUCT(&found->members[i]->tuple));
        if (form->pronamespace == schema && form->prolang != ClanguageId)
            refuse_procedure(form->oid);
    }
    ReleaseSysCacheList(found);
}

// The same for the one that was found: another session may have created it meanwhile.
void require_own_procedure(const Query *query)
{
    if (query->utilityStmt == nullptr || !IsA(query->utilityStmt, CallStmt))
        return;
    const Oid procedure = castNode(CallStmt, query->utilityStmt)->funcexpr->funcid;
    HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(procedure));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for function %u", procedure);
    const bool is_in_c = ((Form_pg_proc)GETSTRUCT(tuple))->prolang == ClanguageId;
    ReleaseSysCache(tuple);
    if (!is_in_c)
        refuse_procedure(procedure);
}

// Runs the statement in a portal, as the server runs a client's query: event triggers need one.
void run_statement(const WorkerOrder &order)
{
    const char *const text = order.statement;
    StartTransactionCommand();
    pgstat_report_activity(STATE_RUNNING, text);
    // The statement commits while it runs. Its parse tree and plan must outlive that.
    MemoryContext const context =
        AllocSetContextCreate(TopMemoryContext, "statement", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(context);
    auto *const raw = static_cast<RawStmt *>(linitial(pg_parse_query(text)));
    if (order.builds_index() && !lock_table(order, castNode(IndexStmt, raw->stmt)->relation))
    {
        CommitTransactionCommand();
        MemoryContextDelete(context);
        return;
    }
    require_own_procedures(raw->stmt);
    List *const queries = pg_analyze_and_rewrite_fixedparams(raw, text, nullptr, 0, nullptr);
    require_own_procedure(linitial_node(Query, queries));
    List *const plans = pg_plan_queries(queries, text, 0, nullptr);
    Portal const portal = CreatePortal("", true, true);
    portal->visible = false;
    PortalDefineQuery(portal, nullptr, text, CreateCommandTag(raw->stmt), plans, nullptr);
    PortalStart(portal, nullptr, 0, InvalidSnapshot);
    run_portal(portal);
    PortalDrop(portal, false);
    CommitTransactionCommand();
    MemoryContextDelete(context);
    pgstat_report_stat(true);
    pgstat_report_activity(STATE_IDLE, nullptr);
}

void set(const char *setting, const char *value)
{
    SetConfigOption(setting, value, PGC_USERSET, PGC_S_SESSION);
}

// Connects as the session's role, takes over its settings, and then acts as the order's role until
// the worker ends.
void prepare_session(const WorkerOrder &order)
{
    BackgroundWorkerInitializeConnectionByOid(order.database, order.login_role, 0);
    StartTransactionCommand();
    for (const char *name = order.settings; *name != '\0';)
    {
        const char *const value = name + strlen(name) + 1;
        set(name, value);
        name = value + strlen(value) + 1;
    }
    set("lock_timeout", order.lock_timeout);
    set("statement_timeout", "0");
    if (GetConfigOption("transaction_timeout", true, false) != nullptr) // from PostgreSQL 17 on
        set("transaction_timeout", "0");
    // Defaults of the role or the database that the session has overridden.
    set("default_transaction_read_only", "off");
    set("default_transaction_isolation", "read committed");
    // Statements name objects with their schema. A schema in this path could answer an unqualified
    // name in somebody's event trigger, with code that the order's role need not have written and
    // that can RESET ROLE.
    set("search_path", "pg_catalog, pg_temp");
    CommitTransactionCommand();
    // The server allows no security-restricted operation outside of a transaction. The statement
    // begins its own while it evaluates expressions of the index.
    SetUserIdAndSecContext(order.role, 0);
    only_owner = order.only_owner;
}

// Shows other sessions that this one builds an index of the installation, until it ends.
void mark_session(const WorkerOrder &order)
{
    const LOCKTAG tag = advisory_lock_tag(LockKey::building, order.schema);
    StartTransactionCommand();
    (void)LockAcquire(&tag, ShareLock, true, true);
    CommitTransactionCommand();
}

// Returns false if the session has no other statement.
bool wait_for_order(WorkerOrder *order)
{
    if (!order->is_kept)
        return false;
    wake(MyBgworkerEntry->bgw_notify_pid);
    while (order->reached() == WorkerStage::done)
    {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
    return order->reached() == WorkerStage::begun;
}

void work(WorkerOrder *order)
{
    prepare_session(*order);
    if (order->builds_index())
        mark_session(*order);
    do
    {
        fault_point("worker", "begins");
        run_statement(*order);
        fault_point("worker", "ends");
        order->reach(WorkerStage::done);
    } while (wait_for_order(order));
}

void run_worker(dsm_handle handle)
{
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    dsm_segment *const segment = dsm_attach(handle);
    if (segment == nullptr)
        return; // the session has ended
    dsm_pin_mapping(segment);
    auto *const order = static_cast<WorkerOrder *>(dsm_segment_address(segment));
    MemoryContext const context = TopMemoryContext;
    PG_TRY();
    {
        work(order);
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        const ErrorData *const error = CopyErrorData();
        // An error that dblink passes on may have any SQLSTATE, also that of success.
        order->sqlstate = error->sqlerrcode == ERRCODE_SUCCESSFUL_COMPLETION
                              ? ERRCODE_INTERNAL_ERROR
                              : error->sqlerrcode;
        copy_clipped(order->message, error->message);
        copy_clipped(order->detail, error->detail);
        copy_clipped(order->hint, error->hint);
        copy_clipped(order->context, error->context);
        order->reach(WorkerStage::failed);
        PG_RE_THROW();
    }
    PG_END_TRY();
}

} // namespace

Oid only_acting_role() { return only_owner; }

} // namespace procrastinate::server

// The entry point of the worker. The argument is the handle of the segment with the WorkerOrder.
extern "C" __attribute__((visibility("default"))) void procrastinate_run_statement_v6(Datum handle)
{
    procrastinate::server::run_worker(DatumGetUInt32(handle));
}
