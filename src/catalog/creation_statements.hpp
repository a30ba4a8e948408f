// Statements that create what is missing: tables, columns, types, labels, indexes. Plain data
// without a server.
#pragma once

#include "catalog/catalog_object.hpp"

#include <string>

namespace procrastinate::catalog
{

// Texts as repair_statements() returns them; empty if no statement creates the object without loss.

std::string create_index(const chain::Definition &index, std::string_view schema);

// The table as it is at the revision, with its sequences, constraints, indexes and triggers. Empty
// for the table of jobs: without it there is no installation to repair.
std::string create_table(const chain::Fact &table, chain::Revision revision,
                         std::string_view schema);

// A column that may be NULL; the rows that are there have NULL, whatever the default is. Empty for
// others: for those nobody knows the values of the rows.
std::string add_column(const chain::Fact &column, std::string_view schema);

// An enum or a composite type.
std::string create_type(const chain::Fact &type, std::string_view schema);

// The labels that an enum type lacks. Empty if it has others: a label may have been renamed.
std::string add_labels(const chain::Fact &expected, const CatalogObject &actual,
                       std::string_view schema);

// The attributes that a composite type lacks at its end.
std::string add_attributes(const chain::Fact &expected, const CatalogObject &actual,
                           std::string_view schema);

} // namespace procrastinate::catalog
