#include "server/owners.hpp"

namespace procrastinate::server
{

namespace
{

Oid owner_of(int cache, Oid object, AttrNumber column)
{
    HeapTuple const tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    bool is_null = false;
    const Oid owner = DatumGetObjectId(SysCacheGetAttr(cache, tuple, column, &is_null));
    ReleaseSysCache(tuple);
    return owner;
}

} // namespace

Oid owner_of_relation(Oid relation) { return owner_of(RELOID, relation, Anum_pg_class_relowner); }

Oid owner_of_function(Oid function) { return owner_of(PROCOID, function, Anum_pg_proc_proowner); }

Oid owner_of_type(Oid type) { return owner_of(TYPEOID, type, Anum_pg_type_typowner); }

Oid owner_of_operator(Oid the_operator)
{
    return owner_of(OPEROID, the_operator, Anum_pg_operator_oprowner);
}

Oid owner_of_schema(Oid schema)
{
    const Oid owner = owner_of(NAMESPACEOID, schema, Anum_pg_namespace_nspowner);
    return owner == ROLE_PG_DATABASE_OWNER
               ? owner_of(DATABASEOID, MyDatabaseId, Anum_pg_database_datdba)
               : owner;
}

bool has_code_of_others(Oid schema)
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
    bool found = false;
    HeapTuple tuple = nullptr;
    while (!found && (tuple = systable_getnext(scan)) != nullptr)
    {
        CHECK_FOR_INTERRUPTS();
        const auto *const form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        const Oid owner = form->classid == ProcedureRelationId  ? owner_of_function(form->objid)
                          : form->classid == OperatorRelationId ? owner_of_operator(form->objid)
                                                                : InvalidOid;
        found = OidIsValid(owner) && owner != GetUserId() && !superuser_arg(owner);
    }
    systable_endscan(scan);
    UnregisterSnapshot(snapshot);
    table_close(dependencies, AccessShareLock);
    return found;
}

} // namespace procrastinate::server
