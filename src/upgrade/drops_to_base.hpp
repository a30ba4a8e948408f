// The DROPs that remove an installation.
#pragma once

#include "upgrade/upgrade.hpp"

namespace procrastinate::upgrade
{

// All objects of the schema with their DROPs, in the order in which these run:
// catalog::base_drops() and then the extension's own tables, the history last. A statement is empty
// if the object is the user's. Inside an SPI connection.
std::vector<Repair> drops_to_base(const catalog::Installation &installation,
                                  std::span<const catalog::CatalogObject> structure);

// Throws Refusal 0A000, with the statements to paste.
[[noreturn]] void refuse_to_drop(const catalog::Installation &installation,
                                 const std::vector<Repair> &drops);

} // namespace procrastinate::upgrade
