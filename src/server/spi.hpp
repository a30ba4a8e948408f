// Runs SQL through the server programming interface (SPI).
//
//   spi::connected([&] {
//       const spi::Rows rows = spi::read_latest("SELECT …", parameters);
//   });
//
// On error the connection is not closed here; the end of the (sub)transaction does that. All
// functions throw the server's errors as ServerError.
#pragma once

#include "server/error_boundary.hpp"
#include "server/run_and_close.hpp"

namespace procrastinate::server::spi
{

enum class Mode
{
    atomic,
    may_commit // only in a procedure that was called outside a transaction block
};

struct Parameter
{
    Oid type;
    Datum value;
    bool is_null = false;
};

// Texts are copied into the current memory context; an interval is not copied.
Parameter oid_parameter(Oid value);
Parameter boolean_parameter(bool value);
Parameter int4_parameter(std::int32_t value);
Parameter int8_parameter(std::int64_t value);
Parameter text_parameter(std::string_view value);
Parameter interval_parameter(const Interval *value);

// The result of a query. It and its texts live as long as the connection: copy what must live
// longer.
class Rows
{
  public:
    Rows(SPITupleTable *table, std::uint64_t count) : table_(table), count_(count) {}

    std::uint64_t count() const { return count_; }

    // Rows begin at 0, columns at 1. NULL is std::nullopt. text() is for columns of type text only.
    std::optional<std::string_view> text(std::uint64_t row, int column) const;
    std::optional<Datum> datum(std::uint64_t row, int column) const;
    // NULL is false.
    bool boolean(std::uint64_t row, int column) const
    {
        return DatumGetBool(datum(row, column).value_or(0));
    }

  private:
    SPITupleTable *table_;
    std::uint64_t count_;
};

// Runs a query that sees all committed rows, whatever the isolation level. At most 12 parameters.
Rows read_latest(const char *query, std::span<const Parameter> parameters = {});

// A query that the session plans once, with a generic plan.
struct PlannedQuery
{
    std::string (*text)();
    SPIPlanPtr plan = nullptr; // lives until the session ends
};

Rows read_latest(PlannedQuery &query, std::span<const Parameter> parameters);

// Runs one statement, or several. Returns the number of rows that the last one changed or
// returned. Throws ServerError 0A000 for a statement that SPI does not run, such as COMMIT.
std::uint64_t execute(const char *statement, std::span<const Parameter> parameters = {});

// Commits, and begins a new transaction. Only in a connection of Mode::may_commit.
void commit();

// Used by connected().
void connect(Mode mode);
void disconnect();

// Runs `body` in an SPI connection and returns its result.
template <typename Body> auto connected(Mode mode, Body &&body) -> std::invoke_result_t<Body &>
{
    connect(mode);
    return run_and_close(body, disconnect);
}

template <typename Body> auto connected(Body &&body) -> std::invoke_result_t<Body &>
{
    return connected(Mode::atomic, body);
}

} // namespace procrastinate::server::spi
