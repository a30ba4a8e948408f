#include "chain/chain.hpp"

namespace procrastinate::chain
{

namespace
{
#include "embedded.inc"
} // namespace

std::span<const Migration> migrations() { return migration_table; }

std::span<const Release> releases() { return release_table; }

std::span<const Fact> facts() { return fact_table; }

std::string_view head_script() { return head_text; }

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

Revision reachable_in_one_transaction(Revision from, Revision to)
{
    const bool uses_new_labels = from != base && from < labels_added && to >= labels_used;
    return uses_new_labels ? labels_used - 1 : to;
}

} // namespace procrastinate::chain
