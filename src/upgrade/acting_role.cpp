#include "upgrade/acting_role.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/owners.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::Installation;

// The owner of the jobs table. Without one, the history's owner, but only if that is the schema's
// owner or a superuser: any role that may create tables in the schema can make an empty history.
// InvalidOid if no table decides.
Oid owner_of_tables(const Installation &installation)
{
    const Oid schema = installation.schema;
    return server::call([schema] {
        // No lock processes them: the call may have waited, and other sessions changed the owner.
        AcceptInvalidationMessages();
        const Oid jobs_owner =
            server::owner_of_relation(get_relname_relid("procrastinate_jobs", schema));
        if (OidIsValid(jobs_owner))
            return jobs_owner;
        const Oid owner =
            server::owner_of_relation(get_relname_relid(catalog::history_table, schema));
        const bool is_trusted =
            OidIsValid(owner) && (owner == server::owner_of_schema(schema) || superuser_arg(owner));
        return is_trusted ? owner : InvalidOid;
    });
}

bool may_act_as(Oid role)
{
    return server::call([role] { return server::may_set_role(GetUserId(), role); });
}

Oid owner_of_schema(const Installation &installation)
{
    return server::call([&] { return server::owner_of_schema(installation.schema); });
}

Oid role_without_tables(const Installation &installation)
{
    const Oid owner = owner_of_schema(installation);
    return OidIsValid(owner) && may_act_as(owner) ? owner : GetUserId();
}

} // namespace

Oid owner_of(const Installation &installation)
{
    const Oid owner = owner_of_tables(installation);
    return OidIsValid(owner) ? owner : owner_of_schema(installation);
}

bool may_change(const Installation &installation)
{
    const bool has_owner = OidIsValid(owner_of_tables(installation));
    return may_act_as(owner_of(installation)) ||
           (!has_owner && catalog::has_privilege(installation, "CREATE"));
}

Oid require_acting_role(const Installation &installation)
{
    const Oid caller = GetUserId();
    const Oid owner = owner_of_tables(installation);
    if (OidIsValid(owner) && !may_act_as(owner))
        throw common::Refusal{
            common::sqlstate::insufficient_privilege,
            "role \"" + server::role_name(caller) + "\" may not change the installation in " +
                catalog::in_schema(installation),
            "The installation belongs to role " + server::role_name(owner) +
                ", and a change is made as that role. You may not SET ROLE to it.",
            "Call it as role " + server::quoted_role_name(owner) + " or as a member of it."};
    // The owner that was checked: it may be another one by now.
    if (OidIsValid(owner))
        return owner;
    catalog::require_there(installation);
    return role_without_tables(installation);
}

Oid acting_role(const Installation &installation)
{
    const Oid owner = owner_of_tables(installation);
    return OidIsValid(owner) ? owner : role_without_tables(installation);
}

} // namespace procrastinate::upgrade
