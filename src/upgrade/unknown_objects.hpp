// Objects of Procrastinate's names that no revision known here has: of a newer release, or a user's
// own.
#pragma once

#include "catalog/drift.hpp"
#include "catalog/installation.hpp"
#include "common/findings.hpp"

namespace procrastinate::upgrade
{

// One finding for each.
common::Findings unknown_objects(std::span<const catalog::CatalogObject> structure);

// Throws Refusal PM009 if there are any; by the setting procrastinate_migrate.verify a WARNING, or
// nothing.
void require_no_unknown_objects(const catalog::Installation &installation,
                                std::span<const catalog::CatalogObject> structure);

// The same for a caller that has not read the structure. Inside an SPI connection and under a
// search_path of the server's own.
void require_no_unknown_objects(const catalog::Installation &installation);

// WARNING if there are any.
void warn_of_unknown_objects(const catalog::Installation &installation,
                             std::span<const catalog::CatalogObject> structure);

// What to do with them, for a HINT.
std::string advice_for_unknown_objects();

} // namespace procrastinate::upgrade
