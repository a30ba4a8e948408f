#include "catalog/readable.hpp"

#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/definition_size.hpp"

namespace procrastinate::catalog
{

namespace
{

struct Names
{
    const char *schema;
    const char *table;
    const char *part;
};

std::string removal_of(const server::DefinitionPart &part)
{
    const Names names = server::call([&part] {
        const char *const schema = get_namespace_name(get_rel_namespace(part.relation));
        const char *const table = get_rel_name(part.relation);
        return Names{quote_identifier(schema == nullptr ? "" : schema),
                     quote_qualified_identifier(schema, table == nullptr ? "" : table),
                     quote_identifier(part.name)};
    });
    const std::string_view removal = part.removal;
    return removal.find("{{schema}}") == std::string_view::npos
               ? common::substitute(removal, {{"table", names.table}, {"part", names.part}})
               : common::substitute(removal, {{"schema", names.schema}, {"part", names.part}});
}

std::string name_of(Oid relation)
{
    return server::call([relation] {
        const char *const schema = get_namespace_name(get_rel_namespace(relation));
        const char *const name = get_rel_name(relation);
        return quote_qualified_identifier(schema, name == nullptr ? "" : name);
    });
}

} // namespace

void require_readable(Oid table)
{
    const server::Definition definition =
        server::call([table] { return server::definition_to_print(table); });
    if (definition.is_small())
        return;
    const server::DefinitionPart &largest = definition.largest;
    const bool is_own = largest.removal != nullptr && largest.relation == table;
    const std::string user = is_own ? std::string()
                             : largest.removal == nullptr
                                 ? ", which it uses,"
                                 : " of " + name_of(largest.relation) + ", which it uses,";
    throw common::Refusal{
        common::sqlstate::untrusted_object,
        "definition of table " + name_of(table) + " is too large to read",
        "The " + std::string(largest.kind) + " \"" + largest.name + "\"" + user + " takes " +
            std::to_string(largest.size) +
            " bytes. Defaults, constraints, triggers, policies, rules and indexes may take " +
            std::to_string(server::most_definition) + " bytes together, with what they use.",
        largest.removal == nullptr ? "Look at it first; then drop it, or make it shorter."
                                   : "Look at it first; then: " + removal_of(largest)};
}

} // namespace procrastinate::catalog
