// What procrastinate_migrate() is about to do, before it does anything.
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
    std::string statement; // all of them
    std::string
        lock; // the modes and their tables, in the order in which they are taken; empty: none
    std::string relation;       // the last of the tables that it locks; empty: none
    std::int64_t relation_size; // bytes, with indexes and TOAST
    bool rewrites;              // rows of it
    bool scans;                 // all of it
    double estimate;            // seconds, to two digits
};

// The steps of a call to the target from where the installation stands, in order. Throws Refusal as
// upgrade::plan_upgrade_path(). Inside an SPI connection and under a search_path of the server's own.
std::vector<PlannedStep> plan(const catalog::Installation &installation, std::string_view target);

} // namespace procrastinate::online
