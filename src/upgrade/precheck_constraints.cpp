#include "upgrade/precheck_constraints.hpp"

#include "catalog/definition_text.hpp"
#include "server/setting_scope.hpp"
#include "server/spi.hpp"

namespace procrastinate::upgrade
{

namespace
{

namespace spi = server::spi;
using catalog::CatalogObject;
using catalog::Comparison;
using catalog::Installation;
using chain::Fact;
using chain::Revision;

// What is between two words, or from the first to the end.
std::string_view between(std::string_view text, std::string_view left, std::string_view right)
{
    const std::size_t at = text.find(left);
    if (at == std::string_view::npos)
        return {};
    text.remove_prefix(at + left.size());
    return right.empty() ? text : text.substr(0, text.find(right));
}

bool is_pending(const Fact &fact, Revision current, Revision target)
{
    return current < fact.first && chain::is_at(fact, target);
}

// A column as it will be: itself, or the default that it is going to be added with; empty where no two
// rows could be alike in it.
std::string column_to_come(const Comparison &comparison, std::string_view table,
                           std::string_view column, Revision target)
{
    const std::string key = std::string(table) + "." + std::string(column);
    std::string_view otherwise;
    for (const Fact &fact : chain::facts())
    {
        if (fact.kind != "column" || chain::fact_name(fact) != key)
            continue;
        if (comparison.object_of(fact) != nullptr)
            return std::string(column);
        if (chain::is_at(fact, target))
            otherwise = between(fact.definition, " default ", "");
    }
    return std::string(otherwise);
}

// Jobs that are `aborting` become `doing` on the way through 0031.
constexpr Revision aborting_ends = 31;

bool turns_aborting_to_doing(const Comparison &comparison, Revision current, Revision target)
{
    const auto facts = chain::facts();
    return current >= chain::labels_added && current < aborting_ends && target >= aborting_ends &&
           std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
               const CatalogObject *const object = comparison.object_of(fact);
               return fact.kind == "enum" && object != nullptr &&
                      catalog::has_word(object->definition, "aborting");
           });
}

void replace(std::string &text, std::string_view word, std::string_view by)
{
    if (const std::size_t at = text.find(word); at != std::string::npos)
        text.replace(at, word.size(), by);
}

// Whether an index like it is there, under another name maybe.
bool has_such_index(std::span<const CatalogObject> structure, const Fact &index)
{
    const std::string_view wanted = between(index.definition, " ON ", "");
    return std::any_of(structure.begin(), structure.end(), [&](const CatalogObject &object) {
        return object.kind == "index" && object.flaw.empty() &&
               object.definition.starts_with("UNIQUE ") &&
               between(object.definition, " ON ", "") == wanted;
    });
}

// The rows that a query counts, with a few of them for example; nothing where there are none.
std::string counted(const std::string &query, const Fact &fact)
{
    const spi::Rows rows = server::with_context(
        "look ahead at rows that " + std::string(chain::fact_name(fact)) + " would refuse",
        [&query] { return spi::read_latest(query.c_str()); });
    return rows.count() == 0 ? std::string() : std::string(rows.text(0, 1).value_or(""));
}

void find_duplicates(const Installation &installation, std::span<const CatalogObject> structure,
                     const Comparison &comparison, const Fact &index, Revision current,
                     Revision target, std::vector<std::string> &found)
{
    const std::string_view table = between(index.definition, " ON ", " ");
    const std::string_view columns = between(index.definition, " btree (", ")");
    std::string where(between(index.definition, " WHERE ", ""));
    const bool is_changed = where.find("= 'doing'") != std::string::npos &&
                            turns_aborting_to_doing(comparison, current, target);
    if (!is_changed && has_such_index(structure, index))
        return;
    if (is_changed)
        replace(where, "= 'doing'::procrastinate_job_status",
                "= ANY ('{doing,aborting}'::procrastinate_job_status[])");
    std::string values;
    for (std::string_view rest = columns; !rest.empty();)
    {
        const std::size_t end = std::min(rest.find(", "), rest.size());
        const std::string value = column_to_come(comparison, table, rest.substr(0, end), target);
        if (value.empty())
            return;
        values.append(values.empty() ? "" : ", ").append(value);
        rest.remove_prefix(std::min(end + 2, rest.size()));
    }
    const std::string text =
        "SELECT 'duplicates (' || count(*) || '), for example (" + std::string(columns) +
        ") = ' || left(translate((array_agg(same.value))[1], E'\\n\\r\\t', '   '), 100) FROM "
        "(SELECT ROW(" +
        values + ")::text AS value FROM " + std::string(table) + " WHERE " +
        (where.empty() ? "true" : where) + " AND (ROW(" + values + ") IS NOT NULL) GROUP BY " +
        values + " HAVING count(*) > 1 ORDER BY 1) same HAVING count(*) > 0";
    const std::string duplicates = counted(catalog::qualified(text, installation.quoted), index);
    if (!duplicates.empty())
        found.push_back("Unique index " + std::string(chain::fact_name(index)) + " of " +
                        std::string(chain::name(index.first)) + " meets " + duplicates);
}

void find_refused(const Installation &installation, const Comparison &comparison,
                  const Fact &constraint, Revision target, std::vector<std::string> &found)
{
    const std::string_view name = chain::fact_name(constraint);
    const std::string_view table = name.substr(0, name.find('.'));
    const std::string_view condition = between(constraint.definition, " CHECK ", "");
    for (const Fact &column : chain::facts())
        if (column.kind == "column" && chain::is_at(column, target) &&
            chain::fact_name(column).starts_with(std::string(table) + ".") &&
            catalog::has_word(condition, chain::fact_name(column).substr(table.size() + 1)) &&
            comparison.object_of(column) == nullptr)
            return; // it comes with values that match
    const std::string text =
        "SELECT 'rows (' || count(*) || '), for example id ' || string_agg(bad.id::text, "
        "', ') FILTER (WHERE bad.place <= 3) FROM (SELECT id, row_number() "
        "OVER (ORDER BY id) AS place FROM " +
        std::string(table) + " WHERE (" + std::string(condition) +
        ") IS FALSE) bad HAVING count(*) > 0";
    const std::string refused = counted(catalog::qualified(text, installation.quoted), constraint);
    if (!refused.empty())
        found.push_back("Constraint " + std::string(name.substr(table.size() + 1)) + " of " +
                        std::string(chain::name(constraint.first)) + " refuses " + refused);
}

bool has_table(std::string_view table, Revision revision)
{
    const auto facts = chain::facts();
    return std::any_of(facts.begin(), facts.end(), [&](const Fact &fact) {
        return fact.kind == "table" && fact.definition == table && chain::is_at(fact, revision);
    });
}

} // namespace

std::vector<std::string> find_refused_rows(const Installation &installation,
                                           std::span<const CatalogObject> structure,
                                           Revision current, Revision target)
{
    std::vector<std::string> found;
    const Comparison comparison(structure);
    const int level = server::open_settings();
    server::set("row_security", "off");
    for (const Fact &fact : chain::facts())
    {
        if (!is_pending(fact, current, target))
            continue;
        const std::string_view table = fact.kind == "index"
                                           ? between(fact.definition, " ON ", " ")
                                           : fact.definition.substr(0, fact.definition.find('.'));
        if (!has_table(table, current))
            continue;
        if (fact.kind == "index" && fact.definition.starts_with("UNIQUE "))
            find_duplicates(installation, structure, comparison, fact, current, target, found);
        if (fact.kind == "constraint" && fact.definition.find(" CHECK ") != std::string_view::npos)
            find_refused(installation, comparison, fact, target, found);
    }
    server::close_settings(level);
    return found;
}

} // namespace procrastinate::upgrade
