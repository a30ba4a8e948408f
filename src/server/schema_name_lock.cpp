// Locks a schema against rename and drop.
#include "server/schema_name_lock.hpp"

namespace procrastinate::server
{

namespace
{

// Inside call(). Locks the row as SELECT ... FOR KEY SHARE does. Returns TM_Updated if a newer row
// may exist.
TM_Result lock_row(Relation schemas, Oid schema)
{
    InvalidateCatalogSnapshot();
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_namespace_oid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(schema));
    SysScanDesc const scan =
        systable_beginscan(schemas, NamespaceOidIndexId, true, nullptr, 1, &key);
    HeapTuple const found = systable_getnext(scan);
    TM_Result result = TM_Deleted;
    if (HeapTupleIsValid(found))
    {
        HeapTupleData tuple = *found;
        Buffer buffer = InvalidBuffer;
        TM_FailureData failure;
        result = heap_lock_tuple(schemas, &tuple, GetCurrentCommandId(true), LockTupleKeyShare,
                                 LockWaitBlock, true, &buffer, &failure);
        ReleaseBuffer(buffer);
    }
    systable_endscan(scan);
    return HeapTupleIsValid(found) && result == TM_Deleted ? TM_Updated : result;
}

} // namespace

bool lock_schema_name(Oid schema)
{
    return call([schema] {
        // Versions differ in whether a rename locks the schema or only updates the row. The lock on
        // the schema must come first.
        LockDatabaseObject(NamespaceRelationId, schema, 0, AccessShareLock);
        Relation const schemas = table_open(NamespaceRelationId, RowShareLock);
        TM_Result result = lock_row(schemas, schema);
        // Another session changed the row in between: there is a newer row, or none.
        while (result == TM_Updated)
        {
            CHECK_FOR_INTERRUPTS();
            result = lock_row(schemas, schema);
        }
        table_close(schemas, NoLock);
        // The name may have changed while this waited.
        AcceptInvalidationMessages();
        return result == TM_Ok || result == TM_SelfModified;
    });
}

} // namespace procrastinate::server
