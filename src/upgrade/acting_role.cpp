#include "upgrade/acting_role.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::Installation;

Oid owner_of_relation(Oid relation)
{
    return server::call([relation] {
        HeapTuple const tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
        if (!HeapTupleIsValid(tuple))
            return InvalidOid;
        const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

// The owner of the installation's tables; InvalidOid if there are none.
Oid owner_of_tables(const Installation &installation)
{
    const Oid schema = installation.schema;
    for (const char *const table : {catalog::history_table, "procrastinate_jobs"})
    {
        const Oid relation =
            server::call([schema, table] { return get_relname_relid(table, schema); });
        if (const Oid owner = OidIsValid(relation) ? owner_of_relation(relation) : InvalidOid;
            OidIsValid(owner))
            return owner;
    }
    return InvalidOid;
}

// InvalidOid if the schema has been dropped. Inside call().
Oid owner_of_schema(Oid schema)
{
    HeapTuple const tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
    if (!HeapTupleIsValid(tuple))
        return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    return owner;
}

// pg_database_owner has one member, the owner of the current database. Inside call().
Oid owner_of_database()
{
    HeapTuple const tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
    const Oid owner = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datdba;
    ReleaseSysCache(tuple);
    return owner;
}

} // namespace

Oid require_acting_role(const Installation &installation)
{
    const Oid caller = GetUserId();
    const auto may_act_as = [caller](Oid role) {
        return server::call([caller, role] { return server::may_set_role(caller, role); });
    };
    const Oid owner = owner_of_tables(installation);
    if (OidIsValid(owner) && !may_act_as(owner))
        throw common::Refusal{
            common::sqlstate::insufficient_privilege,
            "role \"" + server::role_name(caller) + "\" may not change the installation in " +
                catalog::in_schema(installation),
            "The installation belongs to role " + server::role_name(owner) +
                ", and a change is made as that role. You may not SET ROLE to it.",
            "Call it as role " + server::quoted_role_name(owner) +
                ", or let a superuser or that role run: GRANT " + server::quoted_role_name(owner) +
                " TO " + server::quoted_role_name(caller) + ";"};
    if (OidIsValid(owner))
        return owner;
    const Oid schema = installation.schema;
    const Oid schema_owner = server::call([schema] {
        const Oid found = owner_of_schema(schema);
        return found == ROLE_PG_DATABASE_OWNER ? owner_of_database() : found;
    });
    catalog::require_there(installation);
    return may_act_as(schema_owner) ? schema_owner : caller;
}

} // namespace procrastinate::upgrade
