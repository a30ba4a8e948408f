#include "upgrade/drops_to_base.hpp"

#include "catalog/base_drops.hpp"
#include "common/refusal.hpp"

namespace procrastinate::upgrade
{

namespace
{

using catalog::Installation;

// A table of the extension's own, by its difference from base.
Repair drop_of_own(const char *table, const Installation &installation)
{
    return {{catalog::Problem::extra,
             catalog::Severity::info,
             chain::Kind::table,
             table,
             {},
             table,
             nullptr,
             nullptr,
             true},
            "DROP TABLE " + installation.quoted + "." + table + ";",
            {}};
}

} // namespace

std::vector<Repair> drops_to_base(const Installation &installation,
                                  std::span<const catalog::CatalogObject> structure)
{
    std::vector<Repair> drops;
    for (catalog::Drop &drop : catalog::base_drops(structure, installation.quoted))
        drops.push_back({std::move(drop.difference), std::move(drop.statement), {}});
    for (const char *const table : {catalog::fetch_barrier_table, catalog::history_table})
        if (catalog::has_relation(installation, table))
            drops.push_back(drop_of_own(table, installation));
    return drops;
}

void refuse_to_drop(const Installation &installation, const std::vector<Repair> &drops)
{
    std::string statements;
    for (const Repair &drop : drops)
        if (!drop.statement.empty())
            statements += "\n" + drop.statement;
    throw common::Refusal{common::sqlstate::feature_not_supported,
                          "procrastinate_repair() does not drop the objects of " +
                              catalog::in_schema(installation),
                          "All jobs would be lost.", "To drop them yourself:" + statements};
}

} // namespace procrastinate::upgrade
