// The rows that a set-returning function hands back, kept by the server until they are read
// (materialize mode).
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// One row, filled from left to right; an empty optional is NULL.
class Row
{
  public:
    Row &text(std::optional<std::string_view> value);
    Row &text_or_null(std::string_view value); // empty: NULL
    Row &boolean(std::optional<bool> value);
    Row &datum(std::optional<Datum> value); // of a type that is no text

  private:
    friend class RowSet;
    struct Cell
    {
        std::optional<std::string> text;
        std::optional<Datum> datum;
    };
    static constexpr std::size_t most_cells = 16;
    boost::container::static_vector<Cell, most_cells> cells_;
};

class RowSet
{
  public:
    explicit RowSet(FunctionCallInfo fcinfo);
    void add(const Row &row);

    // What the entry point returns.
    static Datum result() { return Datum(0); }

  private:
    ReturnSetInfo *result_;
};

} // namespace procrastinate::server
