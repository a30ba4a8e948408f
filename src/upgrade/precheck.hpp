// Pre-check: what would make migrations fail, found before the first of them begins.
#pragma once

#include "catalog/structure.hpp"

#include <string>
#include <vector>

namespace procrastinate::upgrade
{

// Findings, each a sentence without its full stop.
struct PrecheckResult
{
    std::vector<std::string> drift;      // differences that break Procrastinate or a migration
    std::vector<std::string> unknown;    // objects that no revision known here has
    std::vector<std::string> dependents; // of the user's, on objects that migrations drop or change
    std::vector<std::string> rows;       // that a constraint or unique index will refuse
    std::vector<std::string> doubts;     // other differences
    bool can_repair = false;             // procrastinate_repair() has something to do

    bool any() const
    {
        return !drift.empty() || !unknown.empty() || !dependents.empty() || !rows.empty();
    }
};

// True if no difference between the schema and `current` stops the migrations up to `target`. Reads
// no rows.
bool can_migrate(std::span<const catalog::CatalogObject> structure, chain::Revision current,
                 chain::Revision target);

// Needs an SPI connection and a search_path of the server's own. Reads rows: the caller must own
// the tables.
PrecheckResult run_precheck(const catalog::Installation &installation,
                            std::span<const catalog::CatalogObject> structure,
                            chain::Revision current, chain::Revision target);

} // namespace procrastinate::upgrade
