// The rows of a table that another role may have made, read without running anything of his: no view,
// rule, policy, type or index expression.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

struct RawColumn
{
    const char *name;
    Oid type;
};

// Lives in the memory context that was current when the table was read.
class RawRow
{
  public:
    RawRow(const Datum *values, const bool *nulls) : values_(values), nulls_(nulls) {}

    std::optional<Datum> datum(std::size_t column) const
    {
        return nulls_[column] ? std::nullopt : std::optional(values_[column]);
    }
    // Of a column of type text or varchar; NULL is empty.
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
    bool is_plain;   // an ordinary table that has these columns, without rules and policies
    bool is_allowed; // to be read by the caller; else there are no rows
    List *rows;

    std::size_t count() const { return static_cast<std::size_t>(list_length(rows)); }
    RawRow row(std::size_t index) const;
};

// Whether the ACCESS SHARE lock for it could be had without waiting for anybody; it is kept to the end of the
// transaction.
bool try_lock_table(Oid table);

// The rows in no order, as committed by now; the first `most` of them. Takes an ACCESS SHARE lock. A
// table that is gone is none.
RawTable scan_raw_table(Oid oid, std::span<const RawColumn> columns, std::size_t most = SIZE_MAX);

} // namespace procrastinate::server
