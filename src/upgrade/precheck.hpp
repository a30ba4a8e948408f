// What would stop migrations on their way, found before the first of them begins.
#pragma once

#include "catalog/structure.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

struct PrecheckResult
{
    std::vector<std::string> drift;      // what breaks Procrastinate as it is
    std::vector<std::string> dependents; // of others, on what the migrations drop or change
    std::vector<std::string> rows;       // that a constraint or an index to come would refuse
    std::vector<std::string> doubts;     // what may be left as it is

    bool any() const { return !drift.empty() || !dependents.empty() || !rows.empty(); }
};

// Inside an SPI connection and under a search_path of the server's own; the tables must be the caller's,
// for their rows are read. Whole sentences without a full stop.
PrecheckResult run_precheck(const catalog::Installation &installation,
                            std::span<const catalog::CatalogObject> structure,
                            chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
