// Runs SQL through the server programming interface (SPI).
#include "server/spi.hpp"

#include "server/setting_scope.hpp"

namespace procrastinate::server::spi
{

namespace
{

constexpr std::size_t most_parameters = 12;

// Parameters as SPI takes them.
struct Unpacked
{
    Oid types[most_parameters] = {};
    Datum values[most_parameters] = {};
    char nulls[most_parameters] = {};
    int count;

    explicit Unpacked(std::span<const Parameter> parameters)
        : count(static_cast<int>(parameters.size()))
    {
        for (std::size_t i = 0; i < parameters.size(); ++i)
        {
            types[i] = parameters[i].type;
            values[i] = parameters[i].value;
            nulls[i] = parameters[i].is_null ? 'n' : ' ';
        }
    }
};

// Inside call().
void prepare(PlannedQuery &query, const char *text, Unpacked &parameters)
{
    SPIPlanPtr const plan =
        SPI_prepare_cursor(text, parameters.count, parameters.types, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "query cannot be planned: %s", SPI_result_code_string(SPI_result));
    query.plan = plan;
}

std::string_view c_string(Datum text_datum)
{
    return call([text_datum] { return TextDatumGetCString(text_datum); });
}

} // namespace

Parameter oid_parameter(Oid value) { return {OIDOID, ObjectIdGetDatum(value)}; }

Parameter boolean_parameter(bool value) { return {BOOLOID, BoolGetDatum(value)}; }

Parameter int4_parameter(std::int32_t value) { return {INT4OID, Int32GetDatum(value)}; }

Parameter int8_parameter(std::int64_t value) { return {INT8OID, Int64GetDatum(value)}; }

Parameter text_parameter(std::string_view value)
{
    return {TEXTOID, call([value] {
                return PointerGetDatum(
                    cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
            })};
}

Parameter interval_parameter(const Interval *value)
{
    return {INTERVALOID, IntervalPGetDatum(value)};
}

std::optional<std::string_view> Rows::text(std::uint64_t row, int column) const
{
    const std::optional<Datum> value = datum(row, column);
    if (!value)
        return std::nullopt;
    return c_string(*value);
}

std::optional<Datum> Rows::datum(std::uint64_t row, int column) const
{
    bool is_null = false;
    const Datum value =
        call([&] { return SPI_getbinval(table_->vals[row], table_->tupdesc, column, &is_null); });
    return is_null ? std::nullopt : std::optional(value);
}

Rows read_latest(const char *query, std::span<const Parameter> parameters)
{
    try
    {
        call([&] {
            Unpacked unpacked(parameters);
            // Unlike SPI_execute_with_args(), this never starts parallel workers: that would take
            // longer than a query of the catalog, and another session may need the workers.
            SPIPlanPtr const plan = SPI_prepare_cursor(query, unpacked.count, unpacked.types, 0);
            if (plan == nullptr)
                elog(ERROR, "query cannot be planned: %s", SPI_result_code_string(SPI_result));
            PushActiveSnapshot(GetLatestSnapshot());
            const int result = SPI_execute_plan(plan, unpacked.values, unpacked.nulls, true, 0);
            if (result < 0)
                elog(ERROR, "query cannot be run: %s", SPI_result_code_string(result));
            PopActiveSnapshot();
            SPI_freeplan(plan);
        });
    }
    catch (ServerError &error)
    {
        error.shorten_context(query);
        throw;
    }
    return {SPI_tuptable, SPI_processed};
}

// Compiling such a query would take longer than it runs: it reads few rows of the catalog, whatever
// the planner's estimates are.
Rows read_latest(PlannedQuery &query, std::span<const Parameter> parameters)
{
    const std::string text = query.plan == nullptr ? query.text() : std::string();
    const auto run = [&] {
        call([&] {
            Unpacked unpacked(parameters);
            if (query.plan == nullptr)
                prepare(query, text.c_str(), unpacked);
            PushActiveSnapshot(GetLatestSnapshot());
            if (SPI_execute_plan(query.plan, unpacked.values, unpacked.nulls, true, 0) !=
                SPI_OK_SELECT)
                elog(ERROR, "query returns no rows");
            PopActiveSnapshot();
        });
    };
    restoring_settings([&] {
        set("jit", "off");
        // The catalog may hold thousands of other installations, so that index scans are right
        // whatever the planner thinks of the number of rows.
        set("enable_seqscan", "off");
        try
        {
            run();
        }
        catch (ServerError &error)
        {
            error.shorten_context(query.text());
            throw;
        }
    });
    return {SPI_tuptable, SPI_processed};
}

std::uint64_t execute(const char *statement, std::span<const Parameter> parameters)
{
    return call([&] {
        Unpacked unpacked(parameters);
        const int result = SPI_execute_with_args(statement, unpacked.count, unpacked.types,
                                                 unpacked.values, unpacked.nulls, false, 0);
        // SPI returns a code for COMMIT and some others instead of raising an error.
        if (result < 0)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("statement cannot be executed in a migration: %s",
                                   SPI_result_code_string(result))));
        SPI_freetuptable(SPI_tuptable);
        return SPI_processed;
    });
}

void commit()
{
    call([] { SPI_commit(); });
}

void connect(Mode mode)
{
    call([mode] {
        if (SPI_connect_ext(mode == Mode::may_commit ? SPI_OPT_NONATOMIC : 0) != SPI_OK_CONNECT)
            elog(ERROR, "SPI_connect_ext failed");
    });
}

void disconnect()
{
    call([] {
        if (SPI_finish() != SPI_OK_FINISH)
            elog(ERROR, "SPI_finish failed");
    });
}

} // namespace procrastinate::server::spi
