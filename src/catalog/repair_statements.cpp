#include "catalog/repair_statements.hpp"

#include "catalog/definition_text.hpp"
#include "common/quoting.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

using std::string_literals::operator""s;

std::string table_of_part(std::string_view key, std::string_view schema)
{
    return qualified(key.substr(0, key.find('.')), schema);
}

std::string_view name_of_part(std::string_view key) { return key.substr(key.find('.') + 1); }

// "UNIQUE name ON …" as a statement.
std::string create_index(std::string_view definition, std::string_view schema)
{
    constexpr std::string_view unique = "UNIQUE ";
    std::string statement = "CREATE ";
    if (definition.starts_with(unique))
    {
        statement += unique;
        definition.remove_prefix(unique.size());
    }
    return statement.append("INDEX ").append(qualified(definition, schema)).append(";");
}

bool is_of_constraint(std::string_view index)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [index](const chain::Fact &fact) {
        return fact.kind == "constraint" && name_of_part(chain::fact_name(fact)) == index;
    });
}

std::string_view table_of_index(std::string_view definition)
{
    constexpr std::string_view on = " ON ";
    const std::size_t at = definition.find(on);
    const std::string_view rest =
        at == std::string_view::npos ? "" : definition.substr(at + on.size());
    return rest.substr(0, rest.find(' '));
}

std::string repair_index(const Difference &difference, std::string_view schema)
{
    const std::string name = std::string(schema) + "." + difference.object;
    if (difference.problem == Problem::invalid)
        return "REINDEX INDEX " + name + ";";
    // An index of that name on another table is somebody's own.
    const std::string_view table = table_of_index(difference.fact->definition);
    if (is_of_constraint(difference.object) ||
        (difference.found != nullptr && table_of_index(difference.found->definition) != table))
        return {};
    return (difference.problem == Problem::missing ? ""s : "DROP INDEX " + name + "; ") +
           create_index(difference.fact->definition, schema);
}

std::string repair_constraint(const Difference &difference, std::string_view schema)
{
    const std::string alter = "ALTER TABLE " + table_of_part(difference.object, schema);
    const std::string name(name_of_part(difference.object));
    if (difference.problem == Problem::unvalidated)
        return alter + " VALIDATE CONSTRAINT " + name + ";";
    const std::string_view definition =
        difference.fact->definition.substr(difference.object.size() + 1);
    // Others may depend on a key; and a plain index may have the name of a missing one.
    const bool is_key = definition.starts_with("PRIMARY KEY") || definition.starts_with("UNIQUE");
    if (is_key && (difference.problem != Problem::missing || difference.is_name_taken))
        return {};
    // A foreign key's own triggers can be enabled by a superuser only, and together with the user's.
    return alter +
           (difference.problem == Problem::missing ? ""s : " DROP CONSTRAINT " + name + ",") +
           " ADD CONSTRAINT " + name + " " + qualified(definition, schema) + ";";
}

std::string repair_trigger(const Difference &difference, std::string_view schema)
{
    if (difference.problem == Problem::disabled)
        return "ALTER TABLE " + table_of_part(difference.object, schema) + " ENABLE TRIGGER " +
               std::string(name_of_part(difference.object)) + ";";
    if (difference.found != nullptr && difference.found->definition.starts_with("CONSTRAINT "))
        return "DROP TRIGGER " + std::string(name_of_part(difference.object)) + " ON " +
               table_of_part(difference.object, schema) + "; CREATE TRIGGER " +
               qualified(difference.fact->definition, schema) + ";";
    return "CREATE OR REPLACE TRIGGER " + qualified(difference.fact->definition, schema) + ";";
}

// "name type[ collate …][ not null][ default …]" apart.
struct Column
{
    std::string_view type;
    bool is_not_null;
    std::string_view rest;
};

Column column_of(std::string_view definition, std::size_t name)
{
    constexpr std::string_view not_null = " not null";
    constexpr std::string_view otherwise = " default ";
    std::string_view text = definition.substr(std::min(definition.size(), name + 1));
    const std::size_t default_at = std::min(text.find(otherwise), text.find(" generated "));
    Column column{text.substr(0, default_at), false,
                  default_at < text.size() ? text.substr(default_at) : std::string_view()};
    if (column.type.ends_with(not_null))
    {
        column.is_not_null = true;
        column.type.remove_suffix(not_null.size());
    }
    return column;
}

std::string repair_column(const Difference &difference, std::string_view schema)
{
    constexpr std::string_view otherwise = " default ";
    if (difference.found == nullptr)
        return {};
    const Column expected = column_of(difference.expected, difference.object.size());
    const Column actual = column_of(difference.actual, difference.object.size());
    const auto is_plain = [](std::string_view rest) {
        return rest.find(" generated ") == std::string_view::npos;
    };
    // Another default may have gone further than our sequence.
    const bool is_counted = expected.rest.find("nextval(") != std::string_view::npos &&
                            expected.rest != actual.rest && !actual.rest.empty();
    if (expected.type != actual.type || !is_plain(expected.rest) || !is_plain(actual.rest) ||
        is_counted)
        return {};
    const std::string alter = " ALTER COLUMN " + std::string(name_of_part(difference.object));
    std::string changes;
    if (expected.rest != actual.rest)
        changes += alter + (expected.rest.empty()
                                ? " DROP DEFAULT"s
                                : " SET DEFAULT " +
                                      qualified(expected.rest.substr(otherwise.size()), schema));
    if (expected.is_not_null != actual.is_not_null)
        changes.append(changes.empty() ? "" : ",")
            .append(alter)
            .append(expected.is_not_null ? " SET NOT NULL" : " DROP NOT NULL");
    return "ALTER TABLE " + table_of_part(difference.object, schema) + changes + ";";
}

// The text between the name and the result of a function's definition cannot be replaced.
std::string_view declaration_of(std::string_view definition)
{
    return definition.substr(0, definition.find(" language "));
}

std::string repair_function(const Difference &difference, chain::Revision revision,
                            std::string_view schema)
{
    // Settings were put there on purpose: without them the function may not find its tables.
    if (difference.found != nullptr && (declaration_of(difference.found->definition) !=
                                            declaration_of(difference.fact->definition) ||
                                        has_settings(*difference.found)))
        return {};
    const std::string_view signature = chain::function_signature(difference.fact->definition);
    std::string_view source;
    for (const chain::FunctionSource &one : chain::function_sources())
        if (one.function == signature && one.made_by <= revision)
            source = one.sql;
    // The body finds its tables through the caller's search_path, as upstream's does.
    constexpr std::string_view body = "AS $$";
    const std::size_t head = source.find(body);
    const std::size_t create = source.find("FUNCTION");
    return "CREATE OR REPLACE " + qualified(source.substr(create, head - create), schema) +
           std::string(source.substr(head, source.size() - head - 1));
}

std::string repair_sequence(const Difference &difference, std::string_view schema)
{
    constexpr std::string_view owned = " owned by ";
    const std::string_view expected = difference.expected;
    const std::size_t at = expected.find(owned);
    // A sequence of another type or owner is somebody's; one that was let go is taken back.
    if (difference.found == nullptr || difference.actual != expected.substr(0, at))
        return {};
    return "ALTER SEQUENCE " + qualified(difference.object, schema) + " OWNED BY " +
           qualified(expected.substr(at + owned.size()), schema) + ";";
}

std::string change_owner(const Difference &difference, std::string_view schema)
{
    const std::string kind = difference.kind == "enum" || difference.kind == "composite" ? "TYPE"
                             : difference.kind == "table"                                ? "TABLE"
                             : difference.kind == "function" ? "FUNCTION"
                                                             : "SEQUENCE";
    return "ALTER " + kind + " " + qualified(difference.object, schema) + " OWNER TO " +
           common::quoted_identifier(difference.expected) + ";";
}

std::string repair_of(const Difference &difference, chain::Revision revision,
                      std::string_view schema)
{
    if (difference.problem == Problem::other_owner)
        return change_owner(difference, schema);
    if (difference.problem == Problem::extra)
        return {};
    if (difference.kind == "index")
        return repair_index(difference, schema);
    if (difference.kind == "constraint")
        return repair_constraint(difference, schema);
    if (difference.kind == "trigger")
        return repair_trigger(difference, schema);
    if (difference.kind == "column")
        return repair_column(difference, schema);
    if (difference.kind == "function")
        return repair_function(difference, revision, schema);
    if (difference.kind == "sequence")
        return repair_sequence(difference, schema);
    return {};
}

// Whether a statement is about something that is not there and stays away.
bool needs(std::string_view statement, const Difference &lacking)
{
    // What is in a body is looked for when the function is called.
    statement = statement.substr(0, statement.find("AS $$"));
    const std::string_view key = lacking.object;
    const std::size_t dot = key.find('.');
    if (lacking.kind == "column")
        return has_word(statement, key.substr(0, dot)) && has_word(statement, key.substr(dot + 1));
    return has_word(statement, key.substr(0, key.find('(')));
}

// Whether something of what should be there is not: the whole, or labels of an enum.
bool is_lacking(const Difference &difference)
{
    if (difference.problem == Problem::altered && difference.kind == "enum")
        return !has_labels(difference.expected, difference.actual);
    return difference.problem == Problem::missing;
}

} // namespace

std::vector<std::string> repair_statements(std::span<const Difference> differences,
                                           chain::Revision revision, std::string_view schema)
{
    std::vector<std::string> repairs;
    for (const Difference &one : differences)
        repairs.push_back(repair_of(one, revision, schema));
    // What cannot be mended takes with it what needs that.
    for (bool changed = true; changed;)
    {
        changed = false;
        for (std::size_t i = 0; i < differences.size(); ++i)
        {
            if (!repairs[i].empty() || !is_lacking(differences[i]))
                continue;
            for (std::string &repair : repairs)
                if (!repair.empty() && needs(repair, differences[i]))
                {
                    repair.clear();
                    changed = true;
                }
        }
    }
    return repairs;
}

} // namespace procrastinate::catalog
