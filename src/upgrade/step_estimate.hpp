// Estimated duration of the steps of an upgrade, from the sizes of the tables.
#pragma once

#include "catalog/installation.hpp"
#include "chain/step.hpp"
#include "upgrade/upgrade_path.hpp"

#include <vector>

namespace procrastinate::upgrade
{

struct StepEstimate
{
    std::string_view relation;      // the largest of the tables that the step locks; or empty
    std::int64_t relation_size = 0; // bytes, with indexes and TOAST
    double seconds = 0;             // rounded to two digits
};

// The steps that are left on the path, in order. From base each migration is one step.
std::vector<chain::Step> steps_of(const UpgradePath &path);

// An order of magnitude, without waits for locks. Takes ACCESS SHARE on the table and its indexes
// for an instant. Runs inside an SPI connection and under a search_path of the server's own.
StepEstimate estimate(const catalog::Installation &installation, const chain::Step &step);

} // namespace procrastinate::upgrade
