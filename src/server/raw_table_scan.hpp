// Reads a table that may belong to another role without running that role's code.
//
// No view, rule, policy, type or index expression of the table is evaluated.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

struct RawColumn
{
    const char *name;
    Oid type;
};

// A row. Its values live in the memory context that was current when the table was read.
class RawRow
{
  public:
    RawRow(const Datum *values, const bool *nulls) : values_(values), nulls_(nulls) {}

    std::optional<Datum> datum(std::size_t column) const
    {
        return nulls_[column] ? std::nullopt : std::optional(values_[column]);
    }
    // The value of a column of type text or varchar; empty if it is NULL.
    std::string_view text(std::size_t column) const
    {
        return nulls_[column] ? std::string_view() : DatumGetCString(values_[column]);
    }

  private:
    const Datum *values_;
    const bool *nulls_;
};

struct RawTable
{
    bool is_plain;   // an ordinary table with these columns, without rules and policies
    bool is_allowed; // the current role has SELECT on the table
    List *rows;      // empty unless both are true

    std::size_t count() const { return static_cast<std::size_t>(list_length(rows)); }
    RawRow row(std::size_t index) const;
};

// Takes an ACCESS SHARE lock to the end of the transaction. Returns false instead of waiting.
bool try_lock_table(Oid table);

// Reads at most `most` rows, in no particular order, with the latest snapshot. At most 8 columns.
// Waits for an ACCESS SHARE lock and releases it. A table that does not exist gives is_plain =
// false.
RawTable scan_raw_table(Oid oid, std::span<const RawColumn> columns, std::size_t most = SIZE_MAX);

} // namespace procrastinate::server
