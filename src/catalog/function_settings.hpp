// What the settings of a function mean for it: whether its search_path finds the installation.
#pragma once

#include "catalog/catalog_object.hpp"
#include "catalog/installation.hpp"

#include <span>
#include <string_view>

namespace procrastinate::catalog
{

// `settings` has the elements of pg_proc.proconfig, "search_path=public, pg_temp" and the like;
// empty if they are too long. A search_path finds the installation if it names its schema among its
// first 20, and no schema before it has a relation, type or function of a name of Procrastinate's.
// "$user" is taken for the owner's schema, and else for one that has none of these.
Settings kind_of_settings(std::span<const std::string_view> settings,
                          const Installation &installation, std::string_view owner);

} // namespace procrastinate::catalog
