// Reads pg_index: the state of an index, and the transaction that is changing it.
#include "server/index_state.hpp"

namespace procrastinate::server
{

namespace
{

// Inside call(). The transaction with an uncommitted change of the index's row, or
// InvalidTransactionId.
TransactionId changing_transaction(Oid index)
{
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(index));
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    TransactionId other = InvalidTransactionId;
    Relation const indexes = table_open(IndexRelationId, AccessShareLock);
    SysScanDesc const scan = systable_beginscan(indexes, IndexRelidIndexId, true, &dirty, 1, &key);
    while (!TransactionIdIsValid(other) && HeapTupleIsValid(systable_getnext(scan)))
        other = TransactionIdIsValid(dirty.xmax) ? dirty.xmax : dirty.xmin;
    systable_endscan(scan);
    table_close(indexes, AccessShareLock);
    return other;
}

} // namespace

IndexState read_index_state(Oid schema, const char *index, const char *table)
{
    AcceptInvalidationMessages();
    const Oid oid = get_relname_relid(index, schema);
    if (!OidIsValid(oid))
        return IndexState::absent;
    HeapTuple const tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
    if (!HeapTupleIsValid(tuple))
        return IndexState::absent;
    auto *const row = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    const bool is_valid = row->indisvalid;
    const bool is_elsewhere = row->indrelid != get_relname_relid(table, schema);
    ReleaseSysCache(tuple);
    if (is_elsewhere)
        return IndexState::on_another_table;
    return is_valid ? IndexState::valid : IndexState::invalid;
}

IndexState index_state(Oid schema, const char *index, const char *table)
{
    return call([=] { return read_index_state(schema, index, table); });
}

void wait_for_builder(Oid schema, const char *index)
{
    call([=] {
        const Oid oid = get_relname_relid(index, schema);
        TransactionId other = InvalidTransactionId;
        while (OidIsValid(oid) && TransactionIdIsValid(other = changing_transaction(oid)))
            XactLockTableWait(other, nullptr, nullptr, XLTW_None);
    });
}

} // namespace procrastinate::server
