#include "server/remote_session.hpp"

#include "common/refusal.hpp"
#include "server/messages.hpp"
#include "server/spi.hpp"
#include "server/subtransaction.hpp"
#include "sql/dblink_functions.hpp"

namespace procrastinate::server
{

namespace
{

// One or two arguments.
struct TextCall
{
    TextCall(Oid function, const std::string &first) : oid(function), texts{first, {}}, count(1) {}
    TextCall(Oid function, const std::string &first, const std::string &second)
        : oid(function), texts{first, second}, count(2)
    {
    }

    Oid oid;
    std::array<std::string, 2> texts;
    int count;
};

// Inside call().
Datum invoke(const TextCall &text_call, ReturnSetInfo *result)
{
    FmgrInfo function;
    fmgr_info(text_call.oid, &function);
    LOCAL_FCINFO(arguments, 2);
    InitFunctionCallInfoData(*arguments, &function, static_cast<short>(text_call.count), InvalidOid,
                             nullptr, reinterpret_cast<Node *>(result));
    for (int i = 0; i < text_call.count; ++i)
    {
        const std::string &text = text_call.texts.at(static_cast<std::size_t>(i));
        arguments->args[i].value =
            PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
        arguments->args[i].isnull = false;
    }
    return FunctionCallInvoke(arguments);
}

// Calls a function that returns one value.
Datum value_of(const TextCall &text_call)
{
    Datum value = 0;
    in_subtransaction([&] { call([&] { value = invoke(text_call, nullptr); }); });
    return value;
}

// The first column of the first row of a function that returns rows, as text. Inside call().
char *first_text(const TextCall &text_call)
{
    EState *const state = CreateExecutorState();
    TupleDesc const columns = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(columns, 1, "value", TEXTOID, -1, 0);
    ReturnSetInfo result{};
    result.type = T_ReturnSetInfo;
    result.econtext = CreateExprContext(state);
    result.expectedDesc = columns;
    result.allowedModes = SFRM_Materialize;
    result.returnMode = SFRM_Materialize;
    result.isDone = ExprSingleResult;
    (void)invoke(text_call, &result);
    char *first = nullptr;
    if (result.setResult != nullptr)
    {
        TupleTableSlot *const row = MakeSingleTupleTableSlot(columns, &TTSOpsMinimalTuple);
        if (tuplestore_gettupleslot(result.setResult, true, false, row))
        {
            bool is_null = false;
            const Datum value = slot_getattr(row, 1, &is_null);
            if (!is_null)
                first = TextDatumGetCString(value);
        }
        ExecDropSingleTupleTableSlot(row);
        tuplestore_end(result.setResult);
    }
    FreeExecutorState(state);
    return first;
}

std::optional<std::string> first_value_of(const TextCall &text_call)
{
    std::optional<std::string> value;
    in_subtransaction([&] {
        const char *const text = call([&] { return first_text(text_call); });
        if (text != nullptr)
            value = text;
    });
    return value;
}

// dblink takes a name that no foreign server has for a connection string, so the server must not be
// dropped or renamed before dblink has looked it up. Both take a lock that excludes this one.
std::string locked_name_of(Oid server)
{
    const char *const name = call([server]() -> const char * {
        LockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
        const ForeignServer *const found = GetForeignServerExtended(server, FSV_MISSING_OK);
        return found == nullptr ? nullptr : found->servername;
    });
    if (name == nullptr)
        throw common::Refusal{common::sqlstate::rows_unchanged,
                              "the foreign server has been dropped by another session",
                              {},
                              {}};
    return name;
}

// A destructor must not throw.
void warn_of(const ServerError &error) noexcept
{
    try
    {
        warning(std::string("a connection of dblink could not be closed: ") + error.data()->message,
                {}, {});
    }
    catch (const ServerError &)
    {
        // The session is cancelled, or its client has gone: its end closes the connection.
    }
}

} // namespace

std::optional<DblinkFunctions> find_dblink()
{
    DblinkFunctions functions{};
    const spi::Rows rows = spi::read_latest(sql::dblink_functions);
    if (rows.count() != functions.size())
        return std::nullopt;
    for (std::size_t i = 0; i < functions.size(); ++i)
    {
        if (!rows.boolean(i, 2))
            throw common::Refusal{common::sqlstate::insufficient_privilege,
                                  "permission denied for the functions of extension dblink",
                                  {},
                                  {}};
        functions.at(i) = DatumGetObjectId(rows.datum(i, 1).value());
    }
    return functions;
}

// The OID, because dblink cuts the names of connections.
RemoteSession::RemoteSession(const DblinkFunctions &functions, Oid server)
    : functions_(functions), connection_("procrastinate_migrate_" + std::to_string(server))
{
    in_subtransaction([&] {
        const TextCall connect{oid_of(DblinkFunction::connect), connection_,
                               locked_name_of(server)};
        call([&] { (void)invoke(connect, nullptr); });
    });
}

RemoteSession::~RemoteSession()
{
    try
    {
        (void)value_of({oid_of(DblinkFunction::cancel_query), connection_});
        (void)value_of({oid_of(DblinkFunction::disconnect), connection_});
    }
    catch (const ServerError &error)
    {
        warn_of(error);
    }
}

void RemoteSession::execute(const std::string &statements) const
{
    (void)value_of({oid_of(DblinkFunction::exec), connection_, statements});
}

std::optional<std::string> RemoteSession::fetch(const std::string &query) const
{
    return first_value_of({oid_of(DblinkFunction::query), connection_, query});
}

void RemoteSession::send(const std::string &statement) const
{
    (void)value_of({oid_of(DblinkFunction::send_query), connection_, statement});
}

bool RemoteSession::is_busy() const
{
    return DatumGetInt32(value_of({oid_of(DblinkFunction::is_busy), connection_})) == 1;
}

void RemoteSession::finish() const
{
    (void)first_value_of({oid_of(DblinkFunction::get_result), connection_});
}

} // namespace procrastinate::server
