#include "catalog/readable.hpp"

#include "chain/facts.hpp"
#include "common/refusal.hpp"
#include "common/template.hpp"
#include "server/definition_size.hpp"

#include <algorithm>

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

// True if Procrastinate has had such an object at some revision, or the server has made it for one:
// no HINT may lead to dropping it.
bool is_ours(Oid relation, std::string_view kind, std::string_view name)
{
    if (kind == "trigger" && name.starts_with("RI_ConstraintTrigger_"))
        return true;
    const bool is_of_table = kind != "function" && kind != "type";
    const char *const found = is_of_table ? get_rel_name(relation) : nullptr;
    const std::string_view table = found == nullptr ? "" : found;
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const chain::Fact &fact) {
        if (fact.name != name || !is_of_table)
            return fact.name == name;
        if (fact.table != table)
            return false;
        return kind == "default of column"
                   ? !fact.default_value.empty()
                   : (kind == "column") == (fact.kind == chain::Kind::column);
    });
}

struct Advice
{
    std::string detail;
    std::string hint;
};

// About the largest part that is not Procrastinate's own.
Advice advice_for(const server::DefinitionPart &largest, Oid table)
{
    if (largest.kind == nullptr)
        return {{},
                "Look at its defaults, constraints, triggers and indexes first; then make them "
                "shorter."};
    const bool is_own = largest.removal != nullptr && largest.relation == table;
    const std::string user = is_own ? std::string()
                             : largest.removal == nullptr
                                 ? ", which it uses,"
                                 : " of " + name_of(largest.relation) + ", which it uses,";
    return {"The " + std::string(largest.kind) + " \"" + largest.name + "\"" + user + " takes " +
                std::to_string(largest.size) + " bytes. ",
            largest.removal == nullptr ? "Look at it first; then drop it, or make it shorter."
                                       : "Look at it first; then: " + removal_of(largest)};
}

} // namespace

void require_readable(Oid table)
{
    const server::Definition definition =
        server::call([table] { return server::definition_to_print(table, is_ours); });
    if (definition.is_small())
        return;
    const Advice advice = advice_for(definition.largest, table);
    throw common::Refusal{
        common::sqlstate::untrusted_object,
        "definition of table " + name_of(table) + " is too large to read",
        advice.detail + "Defaults, constraints, triggers, policies, rules and indexes may take " +
            std::to_string(server::most_definition) +
            " bytes together, with what they use; the first " + std::to_string(definition.parts) +
            " take more.",
        advice.hint};
}

} // namespace procrastinate::catalog
