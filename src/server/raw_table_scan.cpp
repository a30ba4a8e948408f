// Reads a table that may belong to another role without running that role's code.
#include "server/raw_table_scan.hpp"

#include "server/definition_size.hpp"

namespace procrastinate::server
{

namespace
{

constexpr std::size_t most_columns = 10;

// More indexes are not looked at. A table of ours has 10 at most.
constexpr int most_indexes = 100;

struct KeptRow
{
    Datum values[most_columns];
    bool nulls[most_columns];
};

// Locks a table and opens it, if its definition takes little memory and it has no rules: those, the
// server would load. Returns a null pointer, without a lock, if it is otherwise. `is_allowed`: the
// current role has SELECT on the table, which exists. `is_kept`: for close_small(). Inside call().
Relation open_small(Oid oid, bool &is_allowed, bool &is_kept)
{
    LockRelationOid(oid, AccessShareLock);
    HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    bool may_be_opened = false;
    if (HeapTupleIsValid(tuple))
    {
        const auto *const form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        may_be_opened = form->relkind == RELKIND_RELATION && !form->relhasrules;
        ReleaseSysCache(tuple);
        is_allowed = pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
    }
    const Definition definition = may_be_opened ? definition_of(oid) : Definition();
    is_kept = definition.size <= most_kept_definition;
    if (may_be_opened && definition.is_small())
        return relation_open(oid, NoLock);
    UnlockRelationOid(oid, AccessShareLock);
    return nullptr;
}

// Other roles may have made many such tables, and the session would keep the definitions of all.
// Inside call().
void close_small(Relation table, bool is_kept)
{
    const Oid oid = RelationGetRelid(table);
    relation_close(table, NoLock);
    if (!is_kept)
        RelationCacheInvalidateEntry(oid);
    UnlockRelationOid(oid, AccessShareLock);
}

// Not by the system cache: that would keep the value that older rows have in a new column. 0 if
// there is no such column.
AttrNumber number_of(TupleDesc shape, const char *name)
{
    for (int i = 0; i < shape->natts; ++i)
        if (!TupleDescAttr(shape, i)->attisdropped &&
            namestrcmp(&TupleDescAttr(shape, i)->attname, name) == 0)
            return static_cast<AttrNumber>(i + 1);
    return 0;
}

// Inside call(). Sets `numbers` to the columns' attribute numbers.
bool is_plain(Relation table, std::span<const RawColumn> columns, AttrNumber *numbers)
{
    const auto *const form = table->rd_rel;
    const TupleDesc shape = RelationGetDescr(table);
    // A standby has no rows of an unlogged table, and a session none of the temporary table of
    // another.
    const bool is_readable =
        form->relpersistence == RELPERSISTENCE_PERMANENT ||
        (form->relpersistence == RELPERSISTENCE_UNLOGGED && !RecoveryInProgress());
    bool is_plain = is_readable;
    for (std::size_t i = 0; i < columns.size(); ++i)
    {
        const AttrNumber number = number_of(shape, columns[i].name);
        numbers[i] = number;
        // PostgreSQL 18 computes a virtual generated column when it is read.
        is_plain = is_plain && number > 0 &&
                   TupleDescAttr(shape, number - 1)->atttypid == columns[i].type &&
                   TupleDescAttr(shape, number - 1)->attgenerated == '\0';
    }
    return is_plain;
}

// The value of a column in the current memory context. Inside call().
Datum copy_of(Datum value, Oid type)
{
    if (type == INTERVALOID)
        return datumCopy(value, false, sizeof(Interval));
    if (type != TEXTOID && type != VARCHAROID)
        return value;
    const auto *const text = pg_detoast_datum_slice(
        reinterpret_cast<varlena *>(DatumGetPointer(value)), 0, longest_raw_text);
    const char *const bytes = VARDATA_ANY(text);
    const int length =
        pg_mbcliplen(bytes, static_cast<int>(VARSIZE_ANY_EXHDR(text)), longest_raw_text);
    return CStringGetDatum(pnstrdup(bytes, static_cast<Size>(length)));
}

// How the values of a key's column are compared; 0 for a type that no key has.
Oid operator_family_of(Oid type)
{
    return type == INT8OID  ? INTEGER_BTREE_FAM_OID
           : type == OIDOID ? OID_BTREE_FAM_OID
                            : InvalidOid;
}

RegProcedure equality_of(Oid type) { return type == INT8OID ? F_INT8EQ : F_OIDEQ; }

// True if the open index is a valid unique B-tree index on just these columns. Inside call().
bool is_index_on(Relation index, std::span<const RawColumn> columns, const AttrNumber *numbers)
{
    const auto *const form = index->rd_index;
    bool is_on = form->indisvalid && form->indisunique && form->indimmediate &&
                 index->rd_rel->relam == BTREE_AM_OID &&
                 form->indnatts == static_cast<int>(columns.size()) &&
                 form->indnkeyatts == form->indnatts;
    for (std::size_t i = 0; is_on && i < columns.size(); ++i)
        is_on = form->indkey.values[i] == numbers[i] && index->rd_opcintype[i] == columns[i].type &&
                index->rd_opfamily[i] == operator_family_of(columns[i].type) &&
                index->rd_indoption[i] == 0;
    return is_on;
}

// InvalidOid if there is none. Opens no index that has a predicate or expressions, which the
// session would keep. Inside call().
Oid index_on(Relation table, std::span<const RawColumn> columns, const AttrNumber *numbers)
{
    Oid found = InvalidOid;
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(RelationGetRelid(table)));
    Relation const indexes = table_open(IndexRelationId, AccessShareLock);
    SysScanDesc const scan =
        systable_beginscan(indexes, IndexIndrelidIndexId, true, nullptr, 1, &key);
    while (!OidIsValid(found))
    {
        HeapTuple const tuple = systable_getnext(scan);
        if (!HeapTupleIsValid(tuple))
            break;
        if (!heap_attisnull(tuple, Anum_pg_index_indpred, nullptr) ||
            !heap_attisnull(tuple, Anum_pg_index_indexprs, nullptr))
            continue;
        const Oid oid = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indexrelid;
        Relation const index = index_open(oid, AccessShareLock);
        if (is_index_on(index, columns, numbers))
            found = oid;
        index_close(index, AccessShareLock);
    }
    systable_endscan(scan);
    table_close(indexes, AccessShareLock);
    return found;
}

} // namespace

RawRow RawTable::row(std::size_t index) const
{
    const auto *const kept = static_cast<const KeptRow *>(list_nth(rows, static_cast<int>(index)));
    return {kept->values, kept->nulls};
}

namespace
{

// Adds the indexes of a table to the list. Returns NIL if they are too many. Inside call().
List *with_indexes(List *relations, Oid table)
{
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(table));
    const int most = list_length(relations) + most_indexes;
    Relation const indexes = table_open(IndexRelationId, AccessShareLock);
    SysScanDesc const scan =
        systable_beginscan(indexes, IndexIndrelidIndexId, true, nullptr, 1, &key);
    while (HeapTuple const tuple = systable_getnext(scan))
        if (list_length(relations) <= most)
            relations = lappend_oid(relations,
                                    reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple))->indexrelid);
    systable_endscan(scan);
    table_close(indexes, AccessShareLock);
    return list_length(relations) <= most ? relations : NIL;
}

// The table, its TOAST table, and the indexes of both; NIL if they are too many. Opens none. The
// table must be locked. Inside call().
List *relations_of(Oid oid)
{
    List *const relations = with_indexes(list_make1_oid(oid), oid);
    HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
    const Oid toast = HeapTupleIsValid(tuple)
                          ? reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->reltoastrelid
                          : InvalidOid;
    if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
    if (relations == NIL || !OidIsValid(toast))
        return relations;
    return with_indexes(lappend_oid(relations, toast), toast);
}

} // namespace

std::vector<Oid> try_lock_table(Oid table)
{
    const List *const locked = call([table]() -> const List * {
        if (!ConditionalLockRelationOid(table, AccessShareLock))
            return NIL;
        if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
        {
            UnlockRelationOid(table, AccessShareLock);
            return NIL;
        }
        List *const relations = relations_of(table);
        if (relations == NIL)
            UnlockRelationOid(table, AccessShareLock);
        for (int i = 1; i < list_length(relations); ++i)
            if (!ConditionalLockRelationOid(list_nth_oid(relations, i), AccessShareLock))
            {
                while (--i >= 0)
                    UnlockRelationOid(list_nth_oid(relations, i), AccessShareLock);
                return NIL;
            }
        return relations;
    });
    std::vector<Oid> relations;
    relations.reserve(static_cast<std::size_t>(list_length(locked)));
    for (int i = 0; i < list_length(locked); ++i)
        relations.push_back(list_nth_oid(locked, i));
    return relations;
}

void unlock(std::span<const Oid> relations)
{
    for (const Oid relation : relations)
        UnlockRelationOid(relation, AccessShareLock);
}

// A sequential scan as of a catalog. The planner would evaluate expressions of the table's indexes.
RawTable scan_raw_table(Oid oid, std::span<const RawColumn> columns, std::size_t most)
{
    return call([oid, columns, most] {
        RawTable found;
        AttrNumber numbers[most_columns] = {};
        bool is_kept = true;
        Relation const table = open_small(oid, found.is_allowed, is_kept);
        if (table == nullptr)
            return found;
        // A policy may hide rows from the role.
        found.is_plain = is_plain(table, columns, numbers) &&
                         check_enable_rls(oid, InvalidOid, true) != RLS_ENABLED;
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
                    value = copy_of(value, columns[column].type);
                }
                found.rows = lappend(found.rows, row);
            }
            systable_endscan(scan);
            PopActiveSnapshot();
            UnregisterSnapshot(snapshot);
        }
        close_small(table, is_kept);
        return found;
    });
}

RawScan::RawScan(Oid oid, std::span<const RawColumn> columns, const RawKey &key, Order order)
    : columns_(columns),
      direction_(order == ascending ? ForwardScanDirection : BackwardScanDirection)
{
    call([this, oid, &key] { open(oid, key); });
}

// Inside call().
void RawScan::open(Oid oid, const RawKey &key)
{
    table_ = open_small(oid, is_allowed_, is_kept_);
    if (table_ == nullptr)
        return;
    is_plain_ = server::is_plain(table_, columns_, numbers_);
    const Oid index =
        is_plain_ ? index_on(table_, columns_.first(key.columns), numbers_) : InvalidOid;
    is_plain_ = OidIsValid(index);
    if (!is_plain_ || !is_allowed_)
        return;
    index_ = index_open(index, AccessShareLock);
    pages_ = RelationGetNumberOfBlocks(table_) + RelationGetNumberOfBlocks(index_);
    snapshot_ = RegisterSnapshot(GetLatestSnapshot());
    PushActiveSnapshot(snapshot_);
    memory_ = AllocSetContextCreate(CurrentMemoryContext, "row of a table", ALLOCSET_SMALL_SIZES);
    ScanKeyData keys[most_columns];
    for (std::size_t i = 0; i < key.values.size(); ++i)
        ScanKeyInit(&keys[i], numbers_[i], BTEqualStrategyNumber, equality_of(columns_[i].type),
                    key.values[i]);
    scan_ = systable_beginscan_ordered(table_, index_, snapshot_,
                                       static_cast<int>(key.values.size()), keys);
}

bool RawScan::next()
{
    if (scan_ == nullptr)
        return false;
    return call([this] {
        CHECK_FOR_INTERRUPTS();
        HeapTuple const tuple = systable_getnext_ordered(scan_, direction_);
        if (!HeapTupleIsValid(tuple))
            return false;
        MemoryContextReset(memory_);
        MemoryContext const before = MemoryContextSwitchTo(memory_);
        const TupleDesc shape = RelationGetDescr(table_);
        for (std::size_t column = 0; column < columns_.size(); ++column)
        {
            values_[column] = heap_getattr(tuple, numbers_[column], shape, &nulls_[column]);
            if (!nulls_[column])
                values_[column] = copy_of(values_[column], columns_[column].type);
        }
        MemoryContextSwitchTo(before);
        return true;
    });
}

void RawScan::close()
{
    call([this] {
        if (scan_ != nullptr)
        {
            systable_endscan_ordered(scan_);
            PopActiveSnapshot();
            UnregisterSnapshot(snapshot_);
            MemoryContextDelete(memory_);
            index_close(index_, AccessShareLock);
        }
        if (table_ != nullptr)
            close_small(table_, is_kept_);
        scan_ = nullptr;
        table_ = nullptr;
    });
}

} // namespace procrastinate::server
