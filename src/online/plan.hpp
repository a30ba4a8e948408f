// The plan of an online run: its steps with their statements, locks, sizes and estimated duration.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"

#include <string>
#include <vector>

namespace procrastinate::online
{

struct PlannedStep
{
    chain::Step step;
    std::string_view title; // of the migration, if it is one step
    std::string statement;  // or several
    std::string lock;       // modes and tables, in the order in which they are locked; or empty
    std::string relation;   // the largest of the tables that the step locks; or empty
    std::int64_t relation_size = 0; // bytes, with indexes and TOAST
    bool rewrites = false;          // every row of the relation
    bool scans = false;             // the whole relation
    double estimate = 0;            // seconds, rounded to two digits
    bool is_installation = false;   // the schema of head at once
};

// The steps that procrastinate_migrate() would run now to reach the target, in order. Throws
// Refusal as upgrade::plan_upgrade_path(). Reads the catalog and the history only. Runs inside an
// SPI connection and under a search_path of the server's own.
std::vector<PlannedStep> plan(const catalog::Installation &installation, std::string_view target);

} // namespace procrastinate::online
