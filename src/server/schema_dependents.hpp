// The objects of a schema, as pg_depend lists them.
#pragma once

#include "server/error_boundary.hpp"

namespace procrastinate::server
{

// Calls visit(classid, objid) for each object that depends on the schema and is committed now,
// until it returns false. Inside call(): both may ereport().
template <typename Visit> void visit_objects_of_schema(Oid schema, Visit visit)
{
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(NamespaceRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(schema));
    Relation const dependencies = table_open(DependRelationId, AccessShareLock);
    Snapshot const snapshot = RegisterSnapshot(GetLatestSnapshot());
    SysScanDesc const scan =
        systable_beginscan(dependencies, DependReferenceIndexId, true, snapshot, 2, keys);
    HeapTuple tuple = nullptr;
    while ((tuple = systable_getnext(scan)) != nullptr)
    {
        CHECK_FOR_INTERRUPTS();
        const auto *const form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        if (!visit(form->classid, form->objid))
            break;
    }
    systable_endscan(scan);
    UnregisterSnapshot(snapshot);
    table_close(dependencies, AccessShareLock);
}

} // namespace procrastinate::server
