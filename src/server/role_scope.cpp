#include "server/role_scope.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/spi.hpp"

namespace procrastinate::server
{

namespace
{

constinit spi::PlannedQuery cursors_query{
    [] { return std::string("SELECT name FROM pg_catalog.pg_cursors"); }};

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

std::vector<Portal> cursors()
{
    std::vector<Portal> found;
    const spi::Rows rows = spi::read_latest(cursors_query, std::span<const spi::Parameter>());
    for (std::uint64_t row = 0; row < rows.count(); ++row)
    {
        const std::string name(rows.text(row, 1).value_or(""));
        Portal const portal = call([&name] { return GetPortalByName(name.c_str()); });
        if (PortalIsValid(portal))
            found.push_back(portal);
    }
    return found;
}

std::set<std::string> texts_of_session(const std::vector<Portal> &portals)
{
    const List *const texts = call([]() -> const List * {
        const Oid schema = LookupNamespaceNoError("pg_temp");
        return OidIsValid(schema) ? texts_of_objects(schema) : NIL;
    });
    std::set<std::string> objects;
    for (int i = 0; i < list_length(texts); ++i)
        objects.emplace(static_cast<const char *>(list_nth(texts, i)));
    for (Portal const portal : portals)
        objects.insert("cursor " + std::to_string(portal->creation_time) + " " + portal->name);
    return objects;
}

} // namespace

SessionObjects::SessionObjects()
{
    const std::vector<Portal> portals = cursors();
    texts_ = texts_of_session(portals);
    blocked_.reserve(portals.size());
    for (Portal const portal : portals)
        if (portal->status == PORTAL_READY)
        {
            blocked_.push_back(portal);
            portal->status = PORTAL_ACTIVE;
        }
}

// The server does not drop an active portal before the end of the transaction that has made it.
SessionObjects::~SessionObjects()
{
    for (Portal const portal : blocked_)
        portal->status = PORTAL_READY;
}

void SessionObjects::require_unchanged(Oid role) const
{
    if (texts_of_session(cursors()) == texts_)
        return;
    throw common::Refusal{common::sqlstate::untrusted_object,
                          "code of role \"" + role_name(role) +
                              "\" has changed temporary objects or cursors of the session",
                          "A trigger or function of the installation has run during the change. "
                          "What it leaves in the session could act with your privileges later.",
                          "Check the triggers on the tables of the installation."};
}

void hint_at_deferred_trigger(ServerError &error, Oid role)
{
    const ErrorData &data = *error.data();
    // Its message is translated; the function that raises it is not.
    const bool is_refused = data.sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE &&
                            data.funcname != nullptr &&
                            std::string_view(data.funcname) == "afterTriggerMarkEvents";
    if (is_refused && data.hint == nullptr)
        error.set_hint("A change runs as role " + quoted_role_name(role) +
                       " in a security-restricted operation, in which the server defers no "
                       "trigger or foreign key. Disable the trigger whose function the CONTEXT "
                       "names, and enable it after the change.");
}

} // namespace procrastinate::server
