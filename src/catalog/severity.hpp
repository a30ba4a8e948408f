// How bad a difference is. Plain data without a server.
#pragma once

#include "catalog/catalog_object.hpp"
#include "chain/chain.hpp"

namespace procrastinate::catalog
{

enum class Severity
{
    info,    // the user's own business
    warning, // Procrastinate works, but slower or not as meant
    error    // breaks Procrastinate
};

std::string_view name_of(Severity severity);

Severity severity_of_missing(std::string_view kind, std::string_view definition);
Severity severity_of_extra(const CatalogObject &object);
Severity severity_of_altered(const chain::Fact &fact, const CatalogObject &object);

// Whether settings of its own (SET search_path …) are part of a function's definition.
bool has_settings(const CatalogObject &function);

// Whether an enum has all labels of its definition in their order; more of them harm nobody.
bool has_labels(std::string_view enum_definition, std::string_view actual);

} // namespace procrastinate::catalog
