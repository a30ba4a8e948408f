#include "catalog/creation_statements.hpp"

#include "catalog/definition_text.hpp"
#include "catalog/severity.hpp"
#include "common/quoting.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

using chain::Definition;
using chain::Fact;
using chain::Kind;
using std::string_literals::operator""s;

std::string text(std::string_view view) { return std::string(view); }

std::string type_of(const Definition &column, std::string_view schema)
{
    return qualified(column.type, schema) +
           (column.collation.empty() ? ""s : " COLLATE " + text(column.collation));
}

std::string column_of_table(const Definition &column, std::string_view schema)
{
    std::string clause = text(column.name) + " " + type_of(column, schema);
    if (!column.generated.empty())
        clause += " " + text(column.generated);
    if (!column.default_value.empty())
        clause += " DEFAULT " + qualified(column.default_value, schema);
    return clause + (column.is_not_null ? " NOT NULL" : "");
}

// The attributes of a composite type: "queue_name character varying, task_name ..."
std::string_view attributes_of(const Definition &type)
{
    const std::string_view text = type.text.substr(type.name.size() + 2);
    return text.substr(0, text.size() - 1);
}

std::string labels_of(const Definition &type)
{
    std::string labels;
    for (const std::string_view label : type.labels)
        labels.append(labels.empty() ? "" : ", ").append(common::quoted_literal(label));
    return labels;
}

bool is_of(Kind kind, const Fact &part, const Fact &table, chain::Revision revision)
{
    return part.kind == kind && part.table == table.name && chain::is_at(part, revision);
}

} // namespace

std::string create_index(const Definition &index, std::string_view schema)
{
    return "CREATE "s + (index.is_unique ? "UNIQUE " : "") + "INDEX " + text(index.name) + " ON " +
           qualified(index.clause, schema) + ";";
}

std::string create_table(const Fact &table, chain::Revision revision, std::string_view schema)
{
    if (table.name == "procrastinate_jobs")
        return {};
    const std::string name = qualified(table.name, schema);
    std::string columns;
    std::string before;
    std::string after;
    const auto add = [&columns](const std::string &part) {
        columns.append(columns.empty() ? "" : ", ").append(part);
    };
    for (const Fact &part : chain::facts())
        if (is_of(Kind::column, part, table, revision))
            add(column_of_table(part, schema));
    for (const Fact &part : chain::facts())
    {
        if (is_of(Kind::constraint, part, table, revision))
            add("CONSTRAINT " + text(part.name) + " " + qualified(part.clause, schema));
        else if (is_of(Kind::index, part, table, revision) && !is_of_constraint(part))
            after += " " + create_index(part, schema);
        else if (is_of(Kind::trigger, part, table, revision))
            after += " CREATE TRIGGER " + qualified(part.text, schema) + ";";
        else if (is_of(Kind::sequence, part, table, revision))
        {
            // An identity column makes its own.
            const bool is_identity =
                std::any_of(chain::facts().begin(), chain::facts().end(), [&](const Fact &column) {
                    return is_of(Kind::column, column, table, revision) &&
                           column.name == part.columns && !column.generated.empty();
                });
            if (is_identity)
                continue;
            const std::string sequence = qualified(part.name, schema);
            before += "CREATE SEQUENCE " + sequence + " AS " + text(part.type) + "; ";
            after.append(" ALTER SEQUENCE ").append(sequence).append(" OWNED BY ").append(name);
            after.append(".").append(text(part.columns)).append(";");
        }
    }
    return before + "CREATE TABLE " + name + " (" + columns + ");" + after;
}

std::string add_column(const Fact &column, std::string_view schema)
{
    if (column.is_not_null || !column.generated.empty())
        return {};
    const std::string name = text(column.name);
    return "ALTER TABLE " + qualified(column.table, schema) + " ADD COLUMN " + name + " " +
           type_of(column, schema) +
           (column.default_value.empty() ? ""s
                                         : ", ALTER COLUMN " + name + " SET DEFAULT " +
                                               qualified(column.default_value, schema)) +
           ";";
}

std::string create_type(const Fact &type, std::string_view schema)
{
    return "CREATE TYPE " + qualified(type.name, schema) +
           (type.kind == Kind::enum_type ? " AS ENUM (" + labels_of(type)
                                         : " AS (" + qualified(attributes_of(type), schema)) +
           ");";
}

std::string add_labels(const Fact &expected, const CatalogObject &actual, std::string_view schema)
{
    // Labels in another order, or others than expected, are not for us to judge.
    if (actual.labels.empty() || !has_labels(actual.labels, expected.labels))
        return {};
    const std::string add = "ALTER TYPE " + qualified(expected.name, schema) + " ADD VALUE ";
    std::string statements;
    std::string_view before;
    for (const std::string_view label : expected.labels)
    {
        if (std::find(actual.labels.begin(), actual.labels.end(), label) == actual.labels.end())
            statements.append(statements.empty() ? "" : " ")
                .append(add)
                .append(common::quoted_literal(label))
                .append(before.empty() ? " BEFORE " + common::quoted_literal(actual.labels.front())
                                       : " AFTER " + common::quoted_literal(before))
                .append(";");
        before = label;
    }
    return statements;
}

std::string add_attributes(const Fact &expected, const CatalogObject &actual,
                           std::string_view schema)
{
    std::string_view all = attributes_of(expected);
    const std::string start = text(expected.name) + " (";
    if (!actual.text.starts_with(start) || !actual.text.ends_with(")"))
        return {};
    const std::string_view there = attributes_of(actual);
    if (!there.empty() && (!all.starts_with(there) || !all.substr(there.size()).starts_with(", ")))
        return {};
    all.remove_prefix(there.empty() ? 0 : there.size() + 2);
    std::string added;
    for (std::size_t end = 0; !all.empty(); all.remove_prefix(end))
    {
        end = std::min(all.find(", "), all.size());
        added.append(added.empty() ? " ADD ATTRIBUTE " : ", ADD ATTRIBUTE ")
            .append(qualified(all.substr(0, end), schema));
        end = std::min(end + 2, all.size());
    }
    return "ALTER TYPE " + qualified(expected.name, schema) + added + ";";
}

} // namespace procrastinate::catalog
