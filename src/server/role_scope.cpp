#include "server/role_scope.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"

namespace procrastinate::server
{

namespace
{

// Texts of what pg_depend lists for the schema. Inside call().
List *texts_of_objects(Oid schema)
{
    List *texts = NIL;
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(NamespaceRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(schema));
    Relation const dependencies = table_open(DependRelationId, AccessShareLock);
    SysScanDesc const scan =
        systable_beginscan(dependencies, DependReferenceIndexId, true, nullptr, 2, keys);
    while (HeapTuple const tuple = systable_getnext(scan))
    {
        const auto *const form = reinterpret_cast<Form_pg_depend>(GETSTRUCT(tuple));
        const char *const name = form->classid == RelationRelationId ? get_rel_name(form->objid)
                                 : form->classid == TypeRelationId
                                     ? format_type_be_qualified(form->objid)
                                     : nullptr;
        texts = lappend(
            texts, psprintf("%u %u %s", form->classid, form->objid, name == nullptr ? "" : name));
    }
    systable_endscan(scan);
    table_close(dependencies, AccessShareLock);
    return texts;
}

} // namespace

std::set<std::string> temporary_objects()
{
    const List *const texts = call([]() -> const List * {
        const Oid schema = LookupNamespaceNoError("pg_temp");
        return OidIsValid(schema) ? texts_of_objects(schema) : NIL;
    });
    std::set<std::string> objects;
    for (int i = 0; i < list_length(texts); ++i)
        objects.emplace(static_cast<const char *>(list_nth(texts, i)));
    return objects;
}

void require_temporary_objects(const std::set<std::string> &before, Oid role)
{
    for (const std::string &object : temporary_objects())
        if (!before.contains(object))
            throw common::Refusal{
                common::sqlstate::untrusted_object,
                "a temporary type was created or renamed by code of role \"" + role_name(role) +
                    "\"",
                "A trigger or function of the installation has run during the change. The session "
                "would find the type before the server's own.",
                "Check the triggers on the tables of the installation."};
}

} // namespace procrastinate::server
