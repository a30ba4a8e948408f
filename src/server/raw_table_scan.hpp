// Reads a table that may belong to another role without running that role's code.
//
// No view, rule, policy, type or index expression of the table is evaluated. A table with a
// definition larger than most_definition (definition_size.hpp) is not opened, and the session does
// not keep one that is larger than most_kept_definition.
#pragma once

#include "server/error_boundary.hpp"

#include <vector>

namespace procrastinate::server
{

struct RawColumn
{
    const char *name;
    Oid type;
};

// A text is cut after this many bytes: another role may have written it.
inline constexpr int longest_raw_text = 1000;

// A row. Its values live as long as the function that returned it says.
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
    bool is_plain = false;   // an ordinary table with these columns; no rules or policies apply
    bool is_allowed = false; // the current role has SELECT on the table
    List *rows = NIL;        // empty unless both are true

    std::size_t count() const { return static_cast<std::size_t>(list_length(rows)); }
    RawRow row(std::size_t index) const;
};

// Takes ACCESS SHARE locks on the table, its TOAST table and the indexes of both, which reading it
// opens. Returns what it has locked, for unlock(). Returns nothing, and takes no lock, instead of
// waiting, and for a table of more than 100 indexes.
std::vector<Oid> try_lock_table(Oid table);
void unlock(std::span<const Oid> relations);

// Reads at most `most` rows, in no particular order, with the latest snapshot. At most 8 columns.
// Waits for an ACCESS SHARE lock and releases it. A table that does not exist gives is_plain =
// false. The rows live in the current memory context.
RawTable scan_raw_table(Oid oid, std::span<const RawColumn> columns, std::size_t most = SIZE_MAX);

// The key of a table, in whose order a scan reads: its first columns, of types bigint and oid, with
// a unique B-tree index of their own. Read are the rows whose key begins with the values.
struct RawKey
{
    std::size_t columns;
    std::span<const Datum> values; // no longer needed once the scan has begun
};

// Reads a table row by row, in the order of its key, with the latest snapshot. At most 10 columns.
// Waits for an ACCESS SHARE lock. To be closed before the transaction goes on, but not after a
// ServerError: that may have left the scan in the middle of a page, and the end of the
// (sub)transaction closes what is open. visit_rows() does both.
class RawScan
{
  public:
    enum Order
    {
        ascending,
        descending
    };

    RawScan(Oid oid, std::span<const RawColumn> columns, const RawKey &key, Order order);
    RawScan(const RawScan &) = delete;
    RawScan &operator=(const RawScan &) = delete;

    // An ordinary table with these columns and the index, a small definition and no rules.
    // Policies are not evaluated.
    bool is_plain() const { return is_plain_; }
    // The current role has SELECT on the table.
    bool is_allowed() const { return is_allowed_; }
    // Pages of the table and the index; 0 if not both of the above are true. A scan also visits
    // rows that it does not return: not committed, or deleted and not vacuumed yet.
    BlockNumber pages() const { return pages_; }

    // Goes to the next row; false at the end, or if not both of the above are true.
    bool next();
    // The row's values live until the next call of next() or close().
    RawRow row() const { return {values_, nulls_}; }

    // Releases the lock.
    void close();

  private:
    static constexpr std::size_t most_columns = 10;

    void open(Oid oid, const RawKey &key);

    std::span<const RawColumn> columns_;
    Relation table_ = nullptr;
    Relation index_ = nullptr;
    SysScanDesc scan_ = nullptr;
    Snapshot snapshot_ = nullptr;
    MemoryContext memory_ = nullptr; // of the current row
    BlockNumber pages_ = 0;
    ScanDirection direction_;
    AttrNumber numbers_[most_columns] = {};
    Datum values_[most_columns] = {};
    bool nulls_[most_columns] = {};
    bool is_plain_ = false;
    bool is_allowed_ = false;
    bool is_kept_ = true;
};

// Calls visit(row) for each row until it returns false, and closes the scan, also after a Refusal
// that `visit` throws. Any other exception ends the (sub)transaction.
template <typename Visit> void visit_rows(RawScan &scan, Visit &&visit)
{
    try
    {
        while (scan.next() && visit(scan.row()))
        {
        }
    }
    catch (const common::Refusal &)
    {
        scan.close();
        throw;
    }
    scan.close();
}

} // namespace procrastinate::server
