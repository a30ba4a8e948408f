#include "catalog/installation.hpp"

#include "common/own_function.hpp"
#include "common/refusal.hpp"
#include "server/current_role.hpp"
#include "server/messages.hpp"

#include <vector>

namespace procrastinate::catalog
{

namespace
{

// A view of the name, in a schema of views, is no installation. Inside call().
bool has_table(Oid schema, const char *name)
{
    const Oid relation = get_relname_relid(name, schema);
    const char kind = OidIsValid(relation) ? get_rel_relkind(relation) : '\0';
    return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
}

// fetch_search_path_array() leaves out temporary schemas. They are never an installation: their
// tables end with the session.
Oid first_in_search_path()
{
    return server::call([] {
        Oid path[64];
        const int length = std::min(fetch_search_path_array(path, lengthof(path)),
                                    static_cast<int>(lengthof(path)));
        for (const char *const table :
             {"procrastinate_jobs", history_table, static_cast<const char *>(nullptr)})
            for (int i = 0; i < length; ++i)
                if (path[i] != PG_CATALOG_NAMESPACE &&
                    (table == nullptr || has_table(path[i], table)))
                    return path[i];
        return InvalidOid;
    });
}

// Null if the schema has been dropped.
NullableDatum has_schema_privilege(Oid schema, const char *privilege)
{
    return server::call([schema, privilege] {
        LOCAL_FCINFO(info, 2);
        InitFunctionCallInfoData(*info, nullptr, 2, InvalidOid, nullptr, nullptr);
        info->args[0] = {ObjectIdGetDatum(schema), false};
        info->args[1] = {CStringGetTextDatum(privilege), false};
        const Datum result = has_schema_privilege_id(info);
        return NullableDatum{result, info->isnull};
    });
}

// The schemas that have a table procrastinate_jobs.
std::vector<Oid> schemas_with_jobs()
{
    const List *const found = server::call([]() -> const List * {
        List *schemas = NIL;
        CatCList *const tables =
            SearchSysCacheList1(RELNAMENSP, CStringGetDatum("procrastinate_jobs"));
        for (int i = 0; i < tables->n_members; ++i)
        {
            const auto *const form =
                reinterpret_cast<Form_pg_class>(GETSTRUCT(&tables->members[i]->tuple));
            if (has_table(form->relnamespace, "procrastinate_jobs") &&
                !isAnyTempNamespace(form->relnamespace))
                schemas = lappend_oid(schemas, form->relnamespace);
        }
        ReleaseSysCacheList(tables);
        return schemas;
    });
    std::vector<Oid> schemas;
    schemas.reserve(static_cast<std::size_t>(list_length(found)));
    for (int i = 0; i < list_length(found); ++i)
        schemas.push_back(list_nth_oid(found, i));
    return schemas;
}

enum class Searched
{
    all_schemas,
    usable_schemas // by the current role
};

// Nothing if no schema has an installation.
std::optional<Elsewhere> find_anywhere(Searched searched)
{
    std::vector<Oid> schemas = schemas_with_jobs();
    if (searched == Searched::usable_schemas)
        std::erase_if(schemas, [](Oid one) {
            const NullableDatum may = has_schema_privilege(one, "USAGE");
            return may.isnull || !DatumGetBool(may.value);
        });
    if (schemas.empty())
        return std::nullopt;
    const Oid first = schemas.front();
    const char *const name = server::call([first] { return get_namespace_name(first); });
    if (name == nullptr)
        return std::nullopt;
    const char *const quoted = server::call([name] { return quote_literal_cstr(name); });
    return Elsewhere{name, quoted, static_cast<int>(schemas.size()) - 1};
}

// Nothing if the schema has an installation, or if no other has one.
std::optional<Elsewhere> find_elsewhere(Oid schema, Searched searched)
{
    const bool is_here = server::call([schema] {
        return has_table(schema, "procrastinate_jobs") || has_table(schema, history_table);
    });
    return is_here ? std::nullopt : find_anywhere(searched);
}

// The current name of the schema, or nullptr if it has been dropped.
const char *name_now(const Installation &installation)
{
    const Oid schema = installation.schema;
    return server::call([schema] {
        AcceptInvalidationMessages();
        return get_namespace_name(schema);
    });
}

// In search_path "$user" means the schema named after the role, quoted or not.
bool can_hold_installation(Oid schema, std::string_view name)
{
    return name != "information_schema" && name != "$user" && server::call([schema] {
               return !isAnyTempNamespace(schema) && !IsCatalogNamespace(schema) &&
                      !IsToastNamespace(schema);
           });
}

// `advice` makes a HINT of the literal of a schema.
Installation require_located(std::optional<Oid> given, Searched searched, const CallText &advice)
{
    const std::optional<Installation> installation = locate_if_any(given);
    if (installation)
        return *installation;
    const std::optional<Elsewhere> other = find_anywhere(searched);
    throw common::Refusal{
        common::sqlstate::undefined_schema,
        other ? "search_path finds no installation of Procrastinate, but " + other->text()
              : "no schema has been selected",
        "search_path names no schema on which you have USAGE, or the first one "
        "cannot hold an installation.",
        other ? advice(other->quoted_text) : "Name the schema, for example schema => 'public'."};
}

std::string to_name(const std::string &quoted_schema)
{
    return "Name the schema: schema => " + quoted_schema;
}

} // namespace

std::optional<Installation> locate_if_any(std::optional<Oid> given)
{
    const Oid schema = given ? *given : first_in_search_path();
    if (!given && !OidIsValid(schema))
        return std::nullopt;
    const char *const name = server::call([schema] { return get_namespace_name(schema); });
    if (name == nullptr)
        throw common::Refusal{common::sqlstate::undefined_schema,
                              "schema with OID " + std::to_string(schema) + " does not exist",
                              {},
                              {}};
    const bool is_possible = can_hold_installation(schema, name);
    if (!is_possible && !given)
        return std::nullopt;
    if (!is_possible)
        throw common::Refusal{common::sqlstate::feature_not_supported,
                              std::string("schema \"") + name +
                                  "\" cannot hold an installation of Procrastinate",
                              "The schema is temporary, belongs to the system, or has a name with "
                              "a meaning of its own in search_path.",
                              "Name another schema, for example schema => 'public'."};
    const char *const quoted = server::call([name] { return quote_identifier(name); });
    const char *const quoted_text = server::call([name] { return quote_literal_cstr(name); });
    return Installation{schema, name, quoted, quoted_text};
}

Installation locate(std::optional<Oid> given)
{
    Installation installation = require_located(given, Searched::usable_schemas, to_name);
    if (given)
        return installation;
    if (const auto other = find_elsewhere(installation.schema, Searched::usable_schemas))
        server::notice(in_schema(installation) + " holds no installation of Procrastinate, but " +
                           other->text(),
                       "Name the schema to see it: schema => " + other->quoted_text);
    return installation;
}

std::optional<Installation> locate_to_list(std::optional<Oid> given)
{
    const char *const name =
        given ? server::call([given] { return get_namespace_name(*given); }) : nullptr;
    if (name != nullptr && !can_hold_installation(*given, name))
        return std::nullopt;
    return locate(given);
}

Installation locate_to_change(std::optional<Oid> given, const CallText &call)
{
    Installation installation =
        require_located(given, Searched::all_schemas, [&call](const std::string &quoted_schema) {
            return "For the one that exists: " + call(quoted_schema);
        });
    if (given)
        return installation;
    if (const auto other = find_elsewhere(installation.schema, Searched::all_schemas))
        throw common::Refusal{common::sqlstate::undefined_schema,
                              "search_path finds no installation of Procrastinate, but " +
                                  other->text(),
                              "Without a name the call means " + in_schema(installation) + ".",
                              "For the one that exists: " + call(other->quoted_text) +
                                  "\nFor a new one: " + call(installation.quoted_text)};
    return installation;
}

std::string Elsewhere::text() const
{
    return "schema \"" + name + "\" " +
           (others == 0 ? "holds one"
                        : "and " + std::to_string(others) +
                              (others == 1 ? " other hold one" : " others hold one"));
}

std::string Elsewhere::hint(std::string_view for_new) const
{
    return "To see the one that exists: SELECT * FROM " +
           common::own_function("procrastinate_current") + "(schema => " + quoted_text +
           ");\nFor a new one: " + std::string(for_new);
}

std::optional<Elsewhere> elsewhere(const Installation &installation)
{
    return find_elsewhere(installation.schema, Searched::usable_schemas);
}

bool has_others(const Installation &installation)
{
    const std::vector<Oid> schemas = schemas_with_jobs();
    return std::any_of(schemas.begin(), schemas.end(),
                       [&](Oid one) { return one != installation.schema; });
}

std::string in_schema(const Installation &installation)
{
    return "schema \"" + installation.name + "\"";
}

bool has_privilege(const Installation &installation, const char *privilege)
{
    const NullableDatum may = has_schema_privilege(installation.schema, privilege);
    if (may.isnull)
        require_there(installation);
    return DatumGetBool(may.value);
}

void require_usage(const Installation &installation)
{
    if (!has_privilege(installation, "USAGE"))
        throw common::Refusal{common::sqlstate::insufficient_privilege,
                              "permission denied for schema " + installation.name,
                              "You need USAGE on the schema.",
                              std::string("GRANT USAGE ON SCHEMA ") + installation.quoted + " TO " +
                                  server::quoted_current_role() + ";"};
}

void require_there(const Installation &installation)
{
    if (name_now(installation) == nullptr)
        require_same_name(installation);
}

void require_same_name(const Installation &installation)
{
    const char *const name = name_now(installation);
    if (name != nullptr && installation.name == name)
        return;
    throw common::Refusal{
        common::sqlstate::undefined_schema,
        "schema \"" + installation.name + "\" has been dropped or renamed by another session",
        name == nullptr ? std::string() : "It is called \"" + std::string(name) + "\" now.",
        name == nullptr ? std::string()
                        : "Call the function again with the new name of the schema."};
}

bool has_relation(const Installation &installation, const char *relation)
{
    const Oid schema = installation.schema;
    return server::call([=] { return OidIsValid(get_relname_relid(relation, schema)); });
}

} // namespace procrastinate::catalog
