#include "catalog/base_drops.hpp"

#include "catalog/definition_text.hpp"

#include <algorithm>
#include <array>

namespace procrastinate::catalog
{

namespace
{

using chain::Kind;

bool is_trigger_function(const CatalogObject &object)
{
    return object.kind == Kind::function && has_word(object.declaration, "trigger");
}

// The place of each kind in the order, and its words. The objects in a place before do not need
// those in the next.
struct Place
{
    Kind kind;
    bool is_of_triggers;
    std::string_view words;
};

constexpr std::array<Place, 6> order{{{Kind::function, false, "DROP FUNCTION "},
                                      {Kind::table, false, "DROP TABLE "},
                                      {Kind::function, true, "DROP FUNCTION "},
                                      {Kind::sequence, false, "DROP SEQUENCE "},
                                      {Kind::composite, false, "DROP TYPE "},
                                      {Kind::enum_type, false, "DROP TYPE "}}};

const Place *place_of(const CatalogObject &object)
{
    return std::find_if(order.begin(), order.end(), [&object](const Place &place) {
        return place.kind == object.kind && place.is_of_triggers == is_trigger_function(object);
    });
}

bool is_ours(const CatalogObject &object)
{
    const auto facts = chain::facts();
    return object.is_plain_table &&
           std::any_of(facts.begin(), facts.end(), [&object](const chain::Fact &fact) {
               return fact.kind == object.kind && fact.key == object.key;
           });
}

int rank_of(const Drop &drop)
{
    return drop.statement.empty()
               ? -1
               : static_cast<int>(place_of(*drop.difference.found) - order.begin());
}

// True if a foreign key of one table references the other.
bool references(std::span<const CatalogObject> structure, std::string_view from,
                std::string_view to)
{
    return from != to &&
           std::any_of(structure.begin(), structure.end(), [&](const CatalogObject &object) {
               return object.kind == Kind::constraint && object.table == from &&
                      object.clause.starts_with("FOREIGN KEY") && has_word(object.clause, to);
           });
}

// Puts each table before those that it references.
void sort_tables(std::span<Drop> tables, std::span<const CatalogObject> structure)
{
    for (auto next = tables.begin(); next != tables.end(); ++next)
    {
        const auto is_free = [&](const Drop &one) {
            return std::none_of(next, tables.end(), [&](const Drop &other) {
                return references(structure, other.difference.object, one.difference.object);
            });
        };
        const auto free = std::find_if(next, tables.end(), is_free);
        if (free == tables.end())
            return;
        std::rotate(next, free, free + 1);
    }
}

} // namespace

std::vector<Drop> base_drops(std::span<const CatalogObject> structure, std::string_view schema)
{
    std::vector<Drop> drops;
    for (Difference &one : Comparison(structure).with(chain::base))
    {
        const Place *const place = place_of(*one.found);
        std::string statement;
        if (place != order.end() && is_ours(*one.found))
            statement = std::string(place->words) + qualified(one.object, schema) + ";";
        drops.push_back({std::move(one), std::move(statement)});
    }
    std::stable_sort(drops.begin(), drops.end(), [](const Drop &left, const Drop &right) {
        return rank_of(left) < rank_of(right);
    });
    const auto is_table = [](const Drop &one) {
        return !one.statement.empty() && one.difference.kind == Kind::table;
    };
    const auto first = std::find_if(drops.begin(), drops.end(), is_table);
    const auto last = std::find_if_not(first, drops.end(), is_table);
    sort_tables(std::span(first, last), structure);
    return drops;
}

} // namespace procrastinate::catalog
