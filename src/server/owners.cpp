#include "server/owners.hpp"

#include "server/schema_dependents.hpp"

namespace procrastinate::server
{

namespace
{

Oid owner_of(SysCacheIdentifier cache, Oid object, AttrNumber column)
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
    bool found = false;
    visit_objects_of_schema(schema, [&found](Oid class_id, Oid object) {
        const Oid owner = class_id == ProcedureRelationId  ? owner_of_function(object)
                          : class_id == OperatorRelationId ? owner_of_operator(object)
                                                           : InvalidOid;
        found = OidIsValid(owner) && owner != GetUserId() && !superuser_arg(owner);
        return !found;
    });
    return found;
}

} // namespace procrastinate::server
