// What a repair tells its caller beside its rows: differences that it leaves, and how to run it.
#pragma once

#include "catalog/drift.hpp"
#include "upgrade/installation_state.hpp"
#include "upgrade/upgrade.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace procrastinate::upgrade
{

struct RepairPlan
{
    chain::Revision revision;
    std::vector<Repair> repairs;
};

// WARNING if some of the differences from the plan's revision can be removed only by migrations,
// with the calls that run these. Inside an SPI connection and under a search_path of the server's
// own.
void warn_if_left(const catalog::Installation &installation, const InstallationState &state,
                  std::span<const catalog::CatalogObject> structure,
                  std::span<const catalog::Difference> differences, const RepairPlan &plan);

// WARNING if some of the differences are errors that no statement mends, so that the repair does
// not make the schema that of the plan's revision.
void warn_if_without_repair(const catalog::Installation &installation,
                            std::span<const catalog::Difference> differences,
                            const RepairPlan &plan);

// NOTICE after a dry run: the call that runs the statements. `target` is the caller's.
void notice_how_to_run(const catalog::Installation &installation, std::string_view target,
                       const RepairPlan &plan);

} // namespace procrastinate::upgrade
