// Result rows of a set-returning function, in materialize mode.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// One row, filled from left to right, with at most 16 columns. std::nullopt is NULL.
class Row
{
  public:
    Row &text(std::optional<std::string_view> value);
    Row &text_or_null(std::string_view value); // an empty text is NULL
    Row &boolean(std::optional<bool> value);
    Row &datum(std::optional<Datum> value); // of the column's own type

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
    // Appends a row. Throws ServerError XX000 if its number of columns is not the function's.
    void add(const Row &row);

    // The value that the entry point returns.
    static Datum result() { return Datum(0); }

  private:
    ReturnSetInfo *result_ = nullptr;
    MemoryContext memory_ = nullptr; // of the row that is being added
};

} // namespace procrastinate::server
