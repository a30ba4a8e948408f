#include "upgrade/lost_functions.hpp"

#include "catalog/drift.hpp"
#include "upgrade/catalog_at_once.hpp"
#include "upgrade/catalog_match.hpp"

namespace procrastinate::upgrade
{

std::string advice_for_lost_functions(const catalog::Installation &installation,
                                      chain::Revision revision)
{
    const auto count = with_catalog_at_once(installation, std::ptrdiff_t{0}, [&] {
        server::ContextResource memory;
        const auto structure = catalog::structure(installation, memory);
        const std::vector<catalog::Difference> differences =
            catalog::Comparison(server::span_of(structure)).with(revision);
        return std::count_if(differences.begin(), differences.end(), catalog::is_lost);
    });
    if (count == 0)
        return {};
    return (count == 1 ? "A function has" : std::to_string(count) + " functions have") +
           " a search_path that does not find " + catalog::in_schema(installation) +
           ". To repair: " + repair_call(installation) + ", dry_run => false);";
}

} // namespace procrastinate::upgrade
