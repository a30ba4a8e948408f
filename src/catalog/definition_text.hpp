// Names within the text of a definition or a statement. Plain data without a server.
#pragma once

#include "chain/facts.hpp"

#include <string>
#include <string_view>

namespace procrastinate::catalog
{

// The text with the schema before each name of Procrastinate's that a statement looks up through
// search_path. Names of indexes, constraints and triggers stay alone: the server looks for them on
// their table. `schema` is quoted as an identifier.
std::string qualified(std::string_view text, std::string_view schema);

// True if the text holds the word, with neither a letter, a digit nor _ around it.
bool has_word(std::string_view text, std::string_view word);

// True for a constraint that has an index of the same name: a primary key, a unique key, an
// exclusion. A foreign key has none, but an index on its columns may have its name.
bool has_index(const chain::Definition &constraint);

// True if the index comes with a constraint.
bool is_of_constraint(const chain::Fact &index);

} // namespace procrastinate::catalog
