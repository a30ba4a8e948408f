// Reads a table that may belong to another role without running that role's code.
#include "server/raw_table_scan.hpp"

namespace procrastinate::server
{

namespace
{

constexpr std::size_t most_columns = 8;

struct KeptRow
{
    Datum values[most_columns];
    bool nulls[most_columns];
};

// Inside call(). Sets `numbers` to the columns' attribute numbers.
bool is_plain(Relation table, std::span<const RawColumn> columns, AttrNumber *numbers)
{
    const auto *const form = table->rd_rel;
    bool is_plain =
        form->relkind == RELKIND_RELATION && !form->relrowsecurity && !form->relhasrules;
    for (std::size_t i = 0; i < columns.size(); ++i)
    {
        const AttrNumber number = get_attnum(RelationGetRelid(table), columns[i].name);
        numbers[i] = number;
        // PostgreSQL 18 computes a virtual generated column when it is read.
        is_plain = is_plain && number > 0 &&
                   get_atttype(RelationGetRelid(table), number) == columns[i].type &&
                   TupleDescAttr(RelationGetDescr(table), number - 1)->attgenerated == '\0';
    }
    return is_plain;
}

} // namespace

RawRow RawTable::row(std::size_t index) const
{
    const auto *const kept = static_cast<const KeptRow *>(list_nth(rows, static_cast<int>(index)));
    return {kept->values, kept->nulls};
}

bool try_lock_table(Oid table)
{
    return call([table] { return ConditionalLockRelationOid(table, AccessShareLock); });
}

// A sequential scan as of a catalog. The planner would evaluate expressions of the table's indexes.
RawTable scan_raw_table(Oid oid, std::span<const RawColumn> columns, std::size_t most)
{
    return call([oid, columns, most] {
        RawTable found{false, false, NIL};
        AttrNumber numbers[most_columns] = {};
        Relation const table = try_relation_open(oid, AccessShareLock);
        if (table == nullptr)
            return found;
        found.is_allowed = pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
        found.is_plain = is_plain(table, columns, numbers);
        if (found.is_plain && found.is_allowed)
        {
            Snapshot const snapshot = RegisterSnapshot(GetLatestSnapshot());
            PushActiveSnapshot(snapshot);
            const TupleDesc shape = RelationGetDescr(table);
            auto *const values = static_cast<Datum *>(palloc(sizeof(Datum) * shape->natts));
            auto *const nulls = static_cast<bool *>(palloc(sizeof(bool) * shape->natts));
            SysScanDesc const scan =
                systable_beginscan(table, InvalidOid, false, snapshot, 0, nullptr);
            for (std::size_t i = 0; i < most; ++i)
            {
                HeapTuple const tuple = systable_getnext(scan);
                if (!HeapTupleIsValid(tuple))
                    break;
                CHECK_FOR_INTERRUPTS();
                heap_deform_tuple(tuple, shape, values, nulls);
                auto *const row = static_cast<KeptRow *>(palloc0(sizeof(KeptRow)));
                for (std::size_t column = 0; column < columns.size(); ++column)
                {
                    const int attribute = numbers[column] - 1;
                    Datum &value = row->values[column];
                    row->nulls[column] = nulls[attribute];
                    value = values[attribute];
                    if (row->nulls[column])
                        continue;
                    const Oid type = columns[column].type;
                    if (type == TEXTOID || type == VARCHAROID)
                        value = CStringGetDatum(TextDatumGetCString(value));
                    else if (type == INTERVALOID)
                        value = datumCopy(value, false, sizeof(Interval));
                }
                found.rows = lappend(found.rows, row);
            }
            systable_endscan(scan);
            PopActiveSnapshot();
            UnregisterSnapshot(snapshot);
        }
        relation_close(table, AccessShareLock);
        return found;
    });
}

} // namespace procrastinate::server
