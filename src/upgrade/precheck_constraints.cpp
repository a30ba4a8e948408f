#include "upgrade/precheck_constraints.hpp"

#include "catalog/definition_text.hpp"
#include "common/template.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"
#include "sql/precheck_duplicates.hpp"
#include "sql/precheck_refused_rows.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::CatalogObject;
using catalog::Comparison;
using catalog::Installation;
using chain::Fact;
using chain::Kind;
using chain::Revision;

// The migrations to look at, and the schema that they begin with.
struct Pending
{
    const Installation &installation;
    std::span<const CatalogObject> structure;
    const Comparison &comparison;
    Revision current;
    Revision target;

    bool makes(const Fact &fact) const
    {
        return current < fact.first && chain::is_at(fact, target);
    }
};

// The fact of a column at a revision; null if there is none.
const Fact *column_at(std::string_view table, std::string_view column, Revision revision)
{
    for (const Fact &fact : chain::facts())
        if (fact.kind == Kind::column && fact.table == table && fact.name == column &&
            chain::is_at(fact, revision))
            return &fact;
    return nullptr;
}

// The value that a column will have: the column, or the default of one that is yet to be added.
// Empty if no two rows can be alike in it.
std::string value_of(const Pending &pending, std::string_view table, std::string_view column)
{
    for (const Fact &fact : chain::facts())
        if (fact.kind == Kind::column && fact.table == table && fact.name == column &&
            pending.comparison.object_of(fact) != nullptr)
            return std::string(column);
    const Fact *const added = column_at(table, column, pending.target);
    return added == nullptr ? std::string() : std::string(added->default_value);
}

// The values of an index's columns, parted by commas; empty if no two rows can be alike in one.
std::string values_of(const Pending &pending, const Fact &index)
{
    constexpr std::string_view comma = ", ";
    std::string values;
    for (std::string_view rest = index.columns; !rest.empty();)
    {
        const std::size_t end = std::min(rest.find(comma), rest.size());
        const std::string value = value_of(pending, index.table, rest.substr(0, end));
        if (value.empty())
            return {};
        values.append(values.empty() ? "" : comma).append(value);
        rest.remove_prefix(std::min(end + comma.size(), rest.size()));
    }
    return values;
}

// True if the enum type has the label now.
bool has_label(const Pending &pending, std::string_view type, std::string_view label)
{
    return std::any_of(pending.structure.begin(), pending.structure.end(),
                       [&](const CatalogObject &object) {
                           return object.kind == Kind::enum_type && object.name == type &&
                                  std::find(object.labels.begin(), object.labels.end(), label) !=
                                      object.labels.end();
                       });
}

// The condition of an index that the rows of today must meet: rows with a label that a pending
// migration changes to another one count as if they had that. 0031 turns jobs that are 'aborting'
// into jobs that are 'doing', of which only one may have a lock.
std::string condition_of(const Pending &pending, const Fact &index)
{
    std::string condition(index.condition);
    for (const chain::LabelChange &change : chain::label_changes())
    {
        const Fact *const column = column_at(change.table, change.column, pending.target);
        if (change.revision <= pending.current || change.revision > pending.target ||
            change.table != index.table || column == nullptr ||
            !has_label(pending, column->type, change.before))
            continue;
        std::string wanted = "= '";
        wanted.append(change.after).append("'::").append(column->type);
        std::string either = "= ANY ('{";
        either.append(change.after).append(",").append(change.before);
        either.append("}'::").append(column->type).append("[])");
        if (const std::size_t at = condition.find(wanted); at != std::string::npos)
            condition.replace(at, wanted.size(), either);
    }
    return condition;
}

// True if the table has a valid unique index like it, under any name.
bool has_such_index(const Pending &pending, const Fact &index)
{
    return std::any_of(
        pending.structure.begin(), pending.structure.end(), [&index](const CatalogObject &object) {
            return object.kind == Kind::index && object.is_unique &&
                   object.flaw == catalog::Flaw::none && object.clause == index.clause;
        });
}

// The text that a query returns about the rows that an object would refuse; empty if there are
// none.
std::string refused_by(std::string_view object, const Pending &pending, std::string_view sql)
{
    const std::string query = catalog::qualified(sql, pending.installation.quoted);
    const spi::Rows rows =
        server::with_context("pre-check for rows that " + std::string(object) + " would refuse",
                             [&query] { return spi::read_latest(query.c_str()); });
    return rows.count() == 0 ? std::string() : std::string(rows.text(0, 1).value_or(""));
}

void find_duplicates(const Pending &pending, const Fact &index, std::vector<std::string> &found)
{
    const std::string condition = condition_of(pending, index);
    if (condition == index.condition && has_such_index(pending, index))
        return;
    const std::string values = values_of(pending, index);
    if (values.empty())
        return;
    const std::string duplicates =
        refused_by(index.name, pending,
                   common::substitute(sql::precheck_duplicates,
                                      {{"columns", index.columns},
                                       {"values", values},
                                       {"table", index.table},
                                       {"condition", condition.empty() ? "true" : condition}}));
    if (!duplicates.empty())
        found.push_back("Unique index " + std::string(index.name) + " of " +
                        std::string(chain::name(index.first)) + " meets " + duplicates);
}

// True if the condition names a column that is yet to be added: its values will match.
bool needs_added_column(const Pending &pending, const Fact &constraint)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const Fact &column) {
        return column.kind == Kind::column && column.table == constraint.table &&
               chain::is_at(column, pending.target) &&
               catalog::has_word(constraint.condition, column.name) &&
               pending.comparison.object_of(column) == nullptr;
    });
}

void find_refused(const Pending &pending, const Fact &constraint, std::vector<std::string> &found)
{
    if (needs_added_column(pending, constraint))
        return;
    const std::string refused = refused_by(
        constraint.key, pending,
        common::substitute(sql::precheck_refused_rows,
                           {{"table", constraint.table}, {"condition", constraint.condition}}));
    if (!refused.empty())
        found.push_back("Constraint " + std::string(constraint.name) + " of " +
                        std::string(chain::name(constraint.first)) + " refuses " + refused);
}

bool has_table(std::string_view table, Revision revision)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
        return fact.kind == Kind::table && fact.name == table && chain::is_at(fact, revision);
    });
}

} // namespace

std::vector<std::string> find_refused_rows(const Installation &installation,
                                           std::span<const CatalogObject> structure,
                                           Revision current, Revision target)
{
    std::vector<std::string> found;
    const Comparison comparison(structure);
    const Pending pending{installation, structure, comparison, current, target};
    const int level = server::open_settings();
    server::set("row_security", "off");
    for (const Fact &fact : chain::facts())
    {
        if (!pending.makes(fact) || !has_table(fact.table, current))
            continue;
        if (fact.kind == Kind::index && fact.is_unique)
            find_duplicates(pending, fact, found);
        if (fact.constraint_type == chain::ConstraintType::check)
            find_refused(pending, fact, found);
    }
    server::close_settings(level);
    return found;
}

} // namespace procrastinate::upgrade
