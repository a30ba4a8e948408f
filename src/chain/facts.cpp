#include "chain/facts.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace procrastinate::chain
{

namespace
{

constexpr std::array<std::string_view, 13> kind_names{
    "table",    "column",  "constraint", "index", "enum",     "composite", "sequence",
    "function", "trigger", "rule",       "view",  "relation", "type"};

} // namespace

std::string_view kind_name(Kind kind) { return kind_names[static_cast<std::size_t>(kind)]; }

std::optional<Kind> kind_named(std::string_view name)
{
    const auto *const found = std::find(kind_names.begin(), kind_names.end(), name);
    return found == kind_names.end() ? std::nullopt
                                     : std::optional(static_cast<Kind>(found - kind_names.begin()));
}

std::string names_of(std::initializer_list<Kind> kinds)
{
    std::string names;
    std::set<std::string_view> known;
    for (const Fact &fact : facts())
        if (std::find(kinds.begin(), kinds.end(), fact.kind) != kinds.end() &&
            known.insert(fact.name).second)
            names.append(names.empty() ? "" : " ").append(fact.name);
    return names;
}

std::optional<Revision> created_by(std::string_view enum_type)
{
    std::optional<Revision> created;
    for (const Fact &fact : facts())
        if (fact.kind == Kind::enum_type && fact.name == enum_type)
            created = std::min(created.value_or(fact.first), fact.first);
    return created;
}

std::span<const std::string_view> labels_by(std::string_view enum_type, Revision revision)
{
    const Fact *last = nullptr;
    for (const Fact &fact : facts())
        if (fact.kind == Kind::enum_type && fact.name == enum_type && fact.first <= revision &&
            (last == nullptr || last->first < fact.first))
            last = &fact;
    return last == nullptr ? std::span<const std::string_view>() : last->labels;
}

const AddedLabel *label_needing_commit(Revision from, Revision to, CreatedTypes created)
{
    const AddedLabel *first = nullptr;
    for (const AddedLabel &label : added_labels())
    {
        const bool is_added = from < label.added_by && label.used_by != base && label.used_by <= to;
        const bool is_complete = created == CreatedTypes::complete && from < label.created_by;
        if (is_added && !is_complete && (first == nullptr || label.used_by < first->used_by))
            first = &label;
    }
    return first;
}

Revision reachable_in_one_transaction(Revision from, Revision to, CreatedTypes created)
{
    const AddedLabel *const label = label_needing_commit(from, to, created);
    return label == nullptr ? to : label->used_by - 1;
}

} // namespace procrastinate::chain
