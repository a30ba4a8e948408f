// SQL through the server's programming interface (SPI).
//
//   spi::connected([&] {
//       const spi::Rows rows = spi::read_latest("SELECT …", parameters);
//   });
//
// On error nothing is tidied up here: the end of the (sub)transaction does it.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server::spi
{

enum class Mode
{
    atomic,
    may_commit // in a procedure that was called outside a transaction block
};

struct Parameter
{
    Oid type;
    Datum value;
    bool is_null = false;
};

Parameter oid_parameter(Oid value);
Parameter boolean_parameter(bool value);
Parameter int4_parameter(std::int32_t value);
Parameter int8_parameter(std::int64_t value);
Parameter text_parameter(std::string_view value);
Parameter interval_parameter(const Interval *value);

// What a query returned; lives as long as the connection.
class Rows
{
  public:
    Rows(SPITupleTable *table, std::uint64_t count) : table_(table), count_(count) {}

    std::uint64_t count() const { return count_; }

    // Columns count from 1. `text` takes columns of type text only, and NULL as nothing.
    std::optional<std::string_view> text(std::uint64_t row, int column) const;
    std::optional<Datum> datum(std::uint64_t row, int column) const;
    bool boolean(std::uint64_t row, int column) const
    {
        return DatumGetBool(datum(row, column).value_or(0));
    }

  private:
    SPITupleTable *table_;
    std::uint64_t count_;
};

// A query that sees what has been committed by now, whatever the isolation level.
Rows read_latest(const char *query, std::span<const Parameter> parameters = {});

// A query that the session plans once, by what it asks and not by the values of its parameters.
struct PlannedQuery
{
    const char *text;
    SPIPlanPtr plan = nullptr; // kept by the server until the session ends
};

Rows read_latest(PlannedQuery &query, std::span<const Parameter> parameters);

// One statement. Returns the number of rows that it changed or found.
std::uint64_t execute(const char *statement, std::span<const Parameter> parameters = {});

// Ends the transaction and begins another.
void commit();

void connect(Mode mode);
void disconnect();

template <typename Body> auto connected(Mode mode, Body &&body) -> std::invoke_result_t<Body &>
{
    connect(mode);
    if constexpr (std::is_void_v<std::invoke_result_t<Body &>>)
    {
        body();
        disconnect();
    }
    else
    {
        auto result = body();
        disconnect();
        return result;
    }
}

template <typename Body> auto connected(Body &&body) -> std::invoke_result_t<Body &>
{
    return connected(Mode::atomic, body);
}

} // namespace procrastinate::server::spi
