#include "chain/chain.hpp"

#include "common/template.hpp"

#include <algorithm>

namespace procrastinate::chain
{

namespace
{
#include "embedded.inc"
} // namespace

std::span<const Migration> migrations() { return migration_table; }

std::span<const Release> releases() { return release_table; }

std::span<const Fact> facts() { return fact_table; }

std::span<const FunctionBody> function_bodies() { return function_body_table; }

std::span<const FunctionSource> function_sources() { return function_source_table; }

std::string head_script(std::string_view quoted_schema)
{
    std::string in_literal;
    for (const char one : quoted_schema)
        in_literal.append(one == '\'' ? 2 : 1, one);
    return common::substitute(head_text,
                              {{"schema", quoted_schema}, {"schema_in_literal", in_literal}});
}

std::string_view online_script(Revision revision)
{
    return online_texts[static_cast<std::size_t>(revision) - 1];
}

std::string_view early_types_script() { return early_types_text; }

Revision head() { return static_cast<Revision>(std::size(migration_table)); }

const Migration &migration(Revision revision)
{
    return migrations()[static_cast<std::size_t>(revision) - 1];
}

std::string_view name(Revision revision)
{
    return revision == base ? std::string_view("base") : migration(revision).revision;
}

std::string_view phase_name(Phase phase)
{
    switch (phase)
    {
    case Phase::pre:
        return "pre";
    case Phase::post:
        return "post";
    case Phase::none:
        break;
    }
    return {};
}

std::string_view fact_name(const Fact &fact)
{
    std::string_view name = fact.definition;
    // An index's definition says UNIQUE first; a constraint's and a column's name is one word.
    constexpr std::string_view unique = "UNIQUE ";
    if (name.starts_with(unique))
        name.remove_prefix(unique.size());
    return name.substr(0, name.find_first_of(" ("));
}

std::string_view function_signature(std::string_view definition)
{
    return definition.substr(0, definition.find(')') + 1);
}

std::string fact_key(const Fact &fact)
{
    std::string key(fact_name(fact));
    if (fact.kind == "trigger")
    {
        constexpr std::string_view on = " ON ";
        const std::string_view rest = fact.definition.substr(fact.definition.find(on) + on.size());
        return std::string(rest.substr(0, rest.find(' '))) + "." + key;
    }
    if (fact.kind != "function")
        return key;
    // "name(one integer, other text)" becomes "name(integer, text)".
    const std::string_view signature = function_signature(fact.definition);
    std::string_view arguments = signature.substr(key.size() + 1);
    arguments.remove_suffix(1);
    key += "(";
    while (!arguments.empty())
    {
        constexpr std::string_view comma = ", ";
        const std::size_t end = std::min(arguments.find(comma), arguments.size());
        const std::string_view argument = arguments.substr(0, end);
        key.append(key.ends_with("(") ? "" : comma).append(argument.substr(argument.find(' ') + 1));
        arguments.remove_prefix(std::min(end + comma.size(), arguments.size()));
    }
    return key + ")";
}

Revision reachable_in_one_transaction(Revision from, Revision to)
{
    const bool uses_new_labels = from != base && from < labels_added && to >= labels_used;
    return uses_new_labels ? labels_used - 1 : to;
}

} // namespace procrastinate::chain
