#include "catalog/repair_statements.hpp"

#include "catalog/creation_statements.hpp"
#include "catalog/definition_text.hpp"
#include "common/quoting.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

using chain::ConstraintType;
using chain::Definition;
using chain::Kind;
using std::string_literals::operator""s;

std::string text(std::string_view view) { return std::string(view); }

// RENAME keeps the rows of an index, the numbers of a sequence and the user's foreign keys.
std::string rename(const Difference &difference, std::string_view schema)
{
    if (difference.is_name_taken)
        return {};
    const Definition &expected = *difference.fact;
    const std::string before = common::quoted_identifier(difference.found->name);
    const std::string to = " TO " + text(expected.name) + ";";
    switch (difference.kind)
    {
    case Kind::constraint:
        return "ALTER TABLE " + qualified(expected.table, schema) + " RENAME CONSTRAINT " + before +
               to;
    case Kind::index:
        return "ALTER INDEX " + text(schema) + "." + before + " RENAME" + to;
    case Kind::sequence:
        return "ALTER SEQUENCE " + text(schema) + "." + before + " RENAME" + to;
    case Kind::trigger:
        return "ALTER TRIGGER " + before + " ON " + qualified(expected.table, schema) + " RENAME" +
               to;
    default:
        return {};
    }
}

std::string repair_index(const Difference &difference, std::string_view schema)
{
    const std::string name = text(schema) + "." + difference.object;
    if (difference.problem == Problem::invalid)
        return "REINDEX INDEX " + name + ";";
    // An index of that name on another table is the user's. That of a constraint comes with it.
    const Definition &expected = *difference.fact;
    if (is_of_constraint(*difference.fact) ||
        (difference.found != nullptr && difference.found->table != expected.table))
        return {};
    return (difference.problem == Problem::missing ? ""s : "DROP INDEX " + name + "; ") +
           create_index(expected, schema);
}

std::string repair_constraint(const Difference &difference, std::string_view schema)
{
    const Definition &expected = *difference.fact;
    const std::string alter = "ALTER TABLE " + qualified(expected.table, schema);
    const std::string name = text(expected.name);
    if (difference.problem == Problem::unvalidated)
        return alter + " VALIDATE CONSTRAINT " + name + ";";
    // Foreign keys of the user's may depend on a key. And a plain index may have its name.
    const bool is_key = expected.constraint_type == ConstraintType::primary_key ||
                        expected.constraint_type == ConstraintType::unique;
    if (is_key && (difference.problem != Problem::missing || difference.is_name_taken))
        return {};
    // Only a superuser can enable the triggers of a foreign key, and only together with all others.
    return alter +
           (difference.problem == Problem::missing ? ""s : " DROP CONSTRAINT " + name + ",") +
           " ADD CONSTRAINT " + name + " " + qualified(expected.clause, schema) + ";";
}

std::string repair_trigger(const Difference &difference, std::string_view schema)
{
    const Definition &expected = *difference.fact;
    const std::string table = qualified(expected.table, schema);
    const std::string name = text(expected.name);
    const std::string definition = qualified(expected.text, schema) + ";";
    if (difference.problem == Problem::disabled)
        return "ALTER TABLE " + table + " ENABLE TRIGGER " + name + ";";
    // CREATE OR REPLACE does not replace a constraint trigger.
    if (difference.found != nullptr && difference.found->is_constraint_trigger)
        return "DROP TRIGGER " + name + " ON " + table + "; CREATE TRIGGER " + definition;
    return "CREATE OR REPLACE TRIGGER " + definition;
}

std::string repair_column(const Difference &difference, std::string_view schema)
{
    if (difference.found == nullptr)
        return add_column(*difference.fact, schema);
    const Definition &expected = *difference.fact;
    const Definition &actual = *difference.found;
    const bool has_type = expected.type == actual.type && expected.collation == actual.collation;
    const bool has_default = expected.default_value == actual.default_value;
    const bool is_generated = !expected.generated.empty() || !actual.generated.empty();
    // The numbers of another default may have gone further than our sequence.
    const bool counts_elsewhere =
        !has_default && expected.default_value.find("nextval(") != std::string_view::npos &&
        !actual.default_value.empty();
    if (!has_type || is_generated || counts_elsewhere)
        return {};
    const std::string alter = " ALTER COLUMN " + text(expected.name);
    std::string changes;
    if (!has_default)
        changes += alter + (expected.default_value.empty()
                                ? " DROP DEFAULT"s
                                : " SET DEFAULT " + qualified(expected.default_value, schema));
    if (expected.is_not_null != actual.is_not_null)
        changes.append(changes.empty() ? "" : ",")
            .append(alter)
            .append(expected.is_not_null ? " SET NOT NULL" : " DROP NOT NULL");
    return "ALTER TABLE " + qualified(expected.table, schema) + changes + ";";
}

// The last source of a function up to a revision. The build sees to it that each fact has one.
const chain::FunctionSource *source_at(std::string_view signature, chain::Revision revision)
{
    const chain::FunctionSource *source = nullptr;
    for (const chain::FunctionSource &one : chain::function_sources())
        if (one.signature == signature && one.made_by <= revision)
            source = &one;
    return source;
}

// True if the function has settings, and besides only runs with the privileges of its owner. One
// without settings is created again, with its body.
bool is_security_definer(const Difference &difference)
{
    return difference.found != nullptr && difference.actual == difference.found->text &&
           difference.found->text == text(difference.fact->text) + " security definer set " +
                                         text(difference.found->settings);
}

std::string repair_function(const Difference &difference, chain::Revision revision,
                            std::string_view schema)
{
    const std::string alter = "ALTER FUNCTION " + qualified(difference.object, schema);
    if (is_security_definer(difference))
        return alter + " SECURITY INVOKER" + (is_lost(difference) ? " RESET search_path;" : ";");
    if (is_lost(difference))
        return alter + " RESET search_path;";
    // CREATE OR REPLACE cannot change a declaration, and drops the settings that a user has added.
    if (difference.found != nullptr &&
        (difference.found->declaration != difference.fact->declaration ||
         !difference.found->settings.empty()))
        return {};
    const chain::FunctionSource *const source = source_at(difference.fact->signature, revision);
    if (source == nullptr)
        return {};
    // The body finds its tables through the caller's search_path, as upstream's does.
    return "CREATE OR REPLACE " + qualified(source->declaration, schema) + "\n" +
           text(source->body) + ";";
}

std::string repair_sequence(const Difference &difference, std::string_view schema)
{
    const Definition &expected = *difference.fact;
    const Definition *const actual = difference.found;
    // A wider type loses no number.
    const bool has_type = actual != nullptr && actual->type == expected.type;
    if (actual == nullptr || (!has_type && expected.type != "bigint"))
        return {};
    const bool has_owner = actual->table == expected.table && actual->columns == expected.columns;
    // A sequence that another column owns is the user's.
    if (!has_owner && (!actual->table.empty() || expected.table.empty()))
        return {};
    // The number that it has reached may lie below the bounds that it should have.
    if (actual->settings.find('-') != std::string_view::npos ||
        actual->settings.find("minvalue 0") != std::string_view::npos)
        return {};
    return "ALTER SEQUENCE " + qualified(expected.name, schema) + (has_type ? "" : " AS bigint") +
           (actual->settings.empty() ? "" : " INCREMENT BY 1 NO MINVALUE NO MAXVALUE NO CYCLE") +
           (has_owner
                ? ""
                : " OWNED BY " + qualified(expected.table, schema) + "." + text(expected.columns)) +
           ";";
}

// How a table is stored, its owner may choose. Forced policies hide rows from Procrastinate.
std::string repair_table(const Difference &difference, chain::Revision revision,
                         std::string_view schema)
{
    if (difference.found == nullptr)
        return difference.is_name_taken ? ""s : create_table(*difference.fact, revision, schema);
    return difference.found->text.ends_with(" with forced row security")
               ? "ALTER TABLE " + qualified(difference.object, schema) +
                     " NO FORCE ROW LEVEL SECURITY;"
               : ""s;
}

std::string repair_type(const Difference &difference, std::string_view schema)
{
    if (difference.found == nullptr)
        return difference.is_name_taken ? ""s : create_type(*difference.fact, schema);
    if (difference.kind == Kind::enum_type)
        return add_labels(*difference.fact, *difference.found, schema);
    return add_attributes(*difference.fact, *difference.found, schema);
}

std::string_view owned_kind(Kind kind)
{
    switch (kind)
    {
    case Kind::enum_type:
    case Kind::composite:
        return "TYPE";
    case Kind::table:
        return "TABLE";
    case Kind::function:
        return "FUNCTION";
    default:
        return "SEQUENCE";
    }
}

std::string change_owner(const Difference &difference, std::string_view schema)
{
    // The code of the other role would run as the owner.
    if (difference.kind == Kind::function &&
        difference.found->text.find(" security definer") != std::string_view::npos)
        return {};
    return "ALTER " + text(owned_kind(difference.kind)) + " " +
           qualified(difference.object, schema) + " OWNER TO " +
           common::quoted_identifier(difference.expected) + ";";
}

std::string grant(const Difference &difference, std::string_view schema)
{
    const auto [privileges, role] = words_of_grant(difference.expected);
    return "GRANT " + text(privileges) + " ON " + text(owned_kind(difference.kind)) + " " +
           qualified(difference.object, schema) + " TO " + text(role) + ";";
}

std::string repair_of(const Difference &difference, chain::Revision revision,
                      std::string_view schema)
{
    if (difference.problem == Problem::other_owner)
        return change_owner(difference, schema);
    if (difference.problem == Problem::lacking_grant)
        return grant(difference, schema);
    // What is left to a migration, the user upgrades to.
    if (difference.fact == nullptr || difference.left_to != chain::base)
        return {};
    if (difference.problem == Problem::renamed)
        return rename(difference, schema);
    switch (difference.kind)
    {
    case Kind::index:
        return repair_index(difference, schema);
    case Kind::constraint:
        return repair_constraint(difference, schema);
    case Kind::trigger:
        return repair_trigger(difference, schema);
    case Kind::column:
        return repair_column(difference, schema);
    case Kind::function:
        return repair_function(difference, revision, schema);
    case Kind::sequence:
        return repair_sequence(difference, schema);
    case Kind::table:
        return repair_table(difference, revision, schema);
    case Kind::enum_type:
    case Kind::composite:
        return repair_type(difference, schema);
    default:
        return {};
    }
}

// True if the user may have renamed what seems to be missing: then a new column, or a new type,
// would be a second one beside it.
bool may_be_renamed(const Difference &missing, std::span<const Difference> differences)
{
    if (missing.problem != Problem::missing)
        return false;
    return std::any_of(differences.begin(), differences.end(), [&](const Difference &one) {
        if (one.kind != Kind::column || one.found == nullptr)
            return false;
        if (missing.kind == Kind::column)
            return one.problem == Problem::extra && one.found->table == missing.fact->table &&
                   one.found->type == missing.fact->type;
        return missing.kind == Kind::enum_type && one.fact != nullptr &&
               one.fact->type == missing.fact->name && one.found->type != "text" &&
               !one.found->type.starts_with("character varying");
    });
}

// True if a statement uses an object that is not there and will not be.
bool needs(std::string_view statement, const Difference &lacking)
{
    // The server looks for the objects of a body only when the function is called.
    statement = statement.substr(0, statement.find("\nAS "));
    const Definition &object = *lacking.fact;
    switch (lacking.kind)
    {
    case Kind::column:
        return has_word(statement, object.table) && has_word(statement, object.name);
    case Kind::constraint:
    case Kind::trigger:
        return false; // no statement names another object's
    default:
        return has_word(statement, object.name);
    }
}

// True if the object that should be there is not, or if labels of an enum type are not.
bool is_lacking(const Difference &difference)
{
    if (difference.problem == Problem::altered && difference.kind == Kind::enum_type)
        return !has_labels(difference.fact->labels, difference.found->labels);
    return difference.problem == Problem::missing || difference.problem == Problem::renamed;
}

// True if there is no installation to repair.
bool lacks_jobs(std::span<const Difference> differences)
{
    return std::any_of(differences.begin(), differences.end(), [](const Difference &one) {
        return one.kind == Kind::table && one.problem == Problem::missing &&
               one.object == "procrastinate_jobs";
    });
}

} // namespace

bool can_repair(std::span<const Difference> differences, chain::Revision revision)
{
    const std::vector<std::string> repairs = repair_statements(differences, revision, "s");
    for (std::size_t i = 0; i < repairs.size(); ++i)
        if (is_run(differences[i], repairs[i]))
            return true;
    return false;
}

bool can_repair_all(const Comparison &comparison, chain::Revision revision)
{
    const std::vector<Difference> differences = comparison.with(revision);
    const std::vector<std::string> repairs = repair_statements(differences, revision, "s");
    for (std::size_t i = 0; i < differences.size(); ++i)
        if (differences[i].is_of_revision && !is_run(differences[i], repairs[i]))
            return false;
    return true;
}

bool is_run(const Difference &difference, std::string_view statement)
{
    return difference.problem != Problem::other_owner && !statement.empty();
}

std::vector<std::string> repair_statements(std::span<const Difference> differences,
                                           chain::Revision revision, std::string_view schema)
{
    if (lacks_jobs(differences))
        return std::vector<std::string>(differences.size());
    std::vector<std::string> repairs;
    for (const Difference &one : differences)
        repairs.push_back(may_be_renamed(one, differences) ? std::string()
                                                           : repair_of(one, revision, schema));
    // A repair that needs an object without one is dropped, and then those that need what it
    // repairs.
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
