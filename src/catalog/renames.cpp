#include "catalog/renames.hpp"

#include "catalog/definition_text.hpp"
#include "common/quoting.hpp"

#include <algorithm>

namespace procrastinate::catalog
{

namespace
{

using chain::Fact;
using chain::Kind;

// The text of a trigger's definition from its name on, without the name.
bool has_text_after_name(const Fact &fact, const CatalogObject &object)
{
    const std::string_view rest = fact.text.substr(fact.name.size());
    if (!fact.text.starts_with(fact.name) || !object.text.ends_with(rest))
        return false;
    const std::string_view name = object.text.substr(0, object.text.size() - rest.size());
    return name == object.name || name == common::quoted_identifier(object.name);
}

template <typename Objects>
const CatalogObject *constraint_of(const CatalogObject &index, const Objects &objects)
{
    const auto found = std::find_if(objects.begin(), objects.end(), [&index](const auto *one) {
        return has_index(*one) && one->table == index.table && one->name == index.name;
    });
    return found == objects.end() ? nullptr : *found;
}

// True if the default takes numbers from the sequence. Its schema may stand before its name.
bool takes_numbers_from(std::string_view default_value, std::string_view sequence)
{
    constexpr std::string_view begin = "nextval('";
    constexpr std::string_view end = "'::regclass)";
    if (!default_value.starts_with(begin) || !default_value.ends_with(end))
        return false;
    default_value.remove_prefix(begin.size());
    default_value.remove_suffix(end.size());
    for (const std::string &name : {std::string(sequence), common::quoted_identifier(sequence)})
    {
        const std::string literal = common::doubled(name, "'");
        if (default_value == literal || default_value.ends_with("." + literal))
            return true;
    }
    return false;
}

} // namespace

bool fits(const Fact &fact, const CatalogObject &object)
{
    if (object.kind != fact.kind || object.table != fact.table)
        return false;
    switch (fact.kind)
    {
    case Kind::constraint:
        return object.clause == fact.clause;
    case Kind::index:
        // What a failed concurrent build has left is no index.
        return object.clause == fact.clause && object.is_unique == fact.is_unique &&
               object.flaw != Flaw::invalid;
    case Kind::sequence:
        return !fact.table.empty() && object.columns == fact.columns && object.type == fact.type;
    case Kind::trigger:
        return has_text_after_name(fact, object);
    default:
        return false;
    }
}

Renames::Renames(std::span<const Fact *const> missing, std::span<const CatalogObject *const> extra)
{
    // Constraints come first: an index of one goes with it, and no other index does.
    std::vector<const Fact *> facts(missing.begin(), missing.end());
    std::stable_partition(facts.begin(), facts.end(),
                          [](const Fact *fact) { return fact->kind == Kind::constraint; });
    for (const Fact *const fact : facts)
    {
        const auto is_pair = [&](const CatalogObject *object) {
            if (!fits(*fact, *object) || has(*object))
                return false;
            if (fact->kind != Kind::index)
                return true;
            const CatalogObject *const constraint = constraint_of(*object, extra);
            if (!is_of_constraint(*fact))
                return constraint == nullptr;
            return constraint != nullptr &&
                   std::any_of(pairs_.begin(), pairs_.end(), [&](const Rename &pair) {
                       return pair.found == constraint && pair.fact->name == fact->name;
                   });
        };
        const auto object = std::find_if(extra.begin(), extra.end(), is_pair);
        if (object != extra.end())
            pairs_.push_back({fact, *object});
    }
}

const CatalogObject *Renames::found(const Fact &fact) const
{
    const auto pair = std::find_if(pairs_.begin(), pairs_.end(),
                                   [&fact](const Rename &one) { return one.fact == &fact; });
    return pair == pairs_.end() ? nullptr : pair->found;
}

bool Renames::has(const CatalogObject &object) const
{
    return std::any_of(pairs_.begin(), pairs_.end(),
                       [&object](const Rename &one) { return one.found == &object; });
}

bool Renames::explain(const Fact &column, const CatalogObject &object) const
{
    return column.type == object.type && column.collation == object.collation &&
           column.generated == object.generated && column.is_not_null == object.is_not_null &&
           std::any_of(pairs_.begin(), pairs_.end(), [&](const Rename &one) {
               return one.fact->kind == Kind::sequence && one.fact->table == column.table &&
                      one.fact->columns == column.name &&
                      takes_numbers_from(object.default_value, one.found->name);
           });
}

} // namespace procrastinate::catalog
