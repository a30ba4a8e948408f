// Objects of Procrastinate's names in a schema that has no history, and those that are in the way
// of migrations.
#pragma once

#include "catalog/catalog_object.hpp"
#include "catalog/installation.hpp"
#include "chain/chain.hpp"
#include "common/refusal.hpp"

#include <vector>

namespace procrastinate::upgrade
{

// Objects that have names which migrations need for their own.
struct NamesTaken
{
    std::vector<std::string> findings;
    bool can_be_moved = false;                 // true if one is no part of a table
    chain::Revision first_maker = chain::base; // the first migration that needs one of the names
};

// Of the names that the migrations from `current` to `target` need; without a structure those of
// functions are left out. Needs an SPI connection and a search_path of the server's own.
NamesTaken names_taken(const catalog::Installation &installation,
                       std::span<const catalog::CatalogObject> structure, chain::Revision current,
                       chain::Revision target);

// The refusal PM005 of a schema with these objects and without a history. Only after
// require_not_moved(): the HINT leads to dropping them.
common::Refusal leftovers(const catalog::Installation &installation, const NamesTaken &taken);

// For a HINT: what to do about them. Only after require_not_moved().
std::string advice_for_leftovers(const catalog::Installation &installation);

} // namespace procrastinate::upgrade
