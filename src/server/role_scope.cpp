#include "server/role_scope.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"

namespace procrastinate::server
{

int count_temporary_types(Oid role)
{
    return call([role] {
        const Oid schema = LookupNamespaceNoError("pg_temp");
        if (!OidIsValid(schema) || role == GetUserId())
            return 0;
        int count = 0;
        Relation const types = table_open(TypeRelationId, AccessShareLock);
        SysScanDesc const scan = systable_beginscan(types, InvalidOid, false, nullptr, 0, nullptr);
        while (HeapTuple const tuple = systable_getnext(scan))
        {
            const auto *const form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
            if (form->typnamespace == schema && form->typowner == role)
                ++count;
        }
        systable_endscan(scan);
        table_close(types, AccessShareLock);
        return count;
    });
}

void require_temporary_types(Oid role, int before)
{
    if (count_temporary_types(role) <= before)
        return;
    throw common::Refusal{
        common::sqlstate::untrusted_object,
        "code of role \"" + role_name(role) + "\" has created a type in the session's pg_temp",
        "A trigger or function of the installation has run during the change. The type would be "
        "found before the server's own in this session.",
        "Look at the triggers of the installation's tables before you call it again."};
}

} // namespace procrastinate::server
