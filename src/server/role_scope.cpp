#include "server/role_scope.hpp"

#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/schema_dependents.hpp"
#include "server/spi.hpp"

namespace procrastinate::server
{

namespace
{

constinit spi::PlannedQuery cursors_query{
    [] { return std::string("SELECT name FROM pg_catalog.pg_cursors"); }};

// A text for each object of the schema. Inside call().
List *texts_of_objects(Oid schema)
{
    List *texts = NIL;
    visit_objects_of_schema(schema, [&texts](Oid class_id, Oid object) {
        const char *const name = class_id == RelationRelationId ? get_rel_name(object)
                                 : class_id == TypeRelationId   ? format_type_be_qualified(object)
                                                                : nullptr;
        texts = lappend(texts, psprintf("%u %u %s", class_id, object, name == nullptr ? "" : name));
        return true;
    });
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
