// The begin of an online script: settings, the programs that its steps run, and the first of them.
#pragma once

#include "catalog/installation.hpp"
#include "chain/range.hpp"

#include <string>

namespace procrastinate::script
{

// src/sql/online_script_begin.sql with everything in it.
std::string online_programs(const catalog::Installation &installation, chain::Range range);

} // namespace procrastinate::script
